//! Labels in files and in hashes.

use safetensors::Dtype;

/// The element type and the bytes of labels: one byte each where all of them are below 256, so that the files and hashes of such data stay what
/// they were, else two, little endian.
pub fn to_bytes(labels: &[u16]) -> (Dtype, Vec<u8>) {
    let short: Result<Vec<u8>, _> = labels.iter().map(|&label| u8::try_from(label)).collect();
    match short {
        Ok(bytes) => (Dtype::U8, bytes),
        Err(_) => (Dtype::U16, labels.iter().flat_map(|label| label.to_le_bytes()).collect()),
    }
}

/// Labels from the bytes of a file; `None` for any other element type.
pub fn from_bytes(dtype: Dtype, bytes: &[u8]) -> Option<Vec<u16>> {
    match dtype {
        Dtype::U8 => Some(bytes.iter().copied().map(u16::from).collect()),
        Dtype::U16 => Some(bytes.as_chunks().0.iter().map(|&label| u16::from_le_bytes(label)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_back_in_the_shortest_form() {
        for (labels, dtype, length) in [(vec![0, 255, 7], Dtype::U8, 3), (vec![256, 0, 65535], Dtype::U16, 6), (vec![], Dtype::U8, 0)] {
            let (written, bytes) = to_bytes(&labels);
            assert_eq!((written, bytes.len()), (dtype, length));
            assert_eq!(from_bytes(written, &bytes).unwrap(), labels);
        }
        assert_eq!(from_bytes(Dtype::I64, &[0; 8]), None);
    }
}
