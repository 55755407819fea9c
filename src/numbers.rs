//! Numbers as text, everywhere alike.

/// A number with a fixed count of decimals; what rounds to 0 has no sign: "0.00" rather than "-0.00".
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if !rest.contains(|character: char| character != '0' && character != '.') => rest.to_owned(),
        _ => text,
    }
}

/// The same with a sign, but for 0: "+0.10", "-0.10", "0.00".
pub fn with_sign(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let is_zero = text.chars().all(|character| character == '0' || character == '.');
    if value > 0.0 && !is_zero { format!("+{text}") } else { text }
}

/// The text with minus signs (U+2212) for its hyphens.
pub fn typeset(text: &str) -> String {
    text.replace('-', "−")
}

/// A number of things: "1 hole", "2 holes". The noun is in the singular, and its plural ends with an s.
pub fn counted(count: impl Into<u64>, noun: &str) -> String {
    match count.into() {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// A key that sorts numbers within names by value: classifier-2 before classifier-10.
pub fn by_number(name: &str) -> Vec<(String, u64)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        key.push((text.to_owned(), tail[..end].parse().unwrap_or(u64::MAX)));
        rest = &tail[end..];
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_sort_by_value() {
        let mut names = ["b-1", "10", "a-10", "2", "a-9", "a"];
        names.sort_by_key(|name| by_number(name));
        assert_eq!(names, ["2", "10", "a", "a-9", "a-10", "b-1"]);
    }

    #[test]
    fn one_thing_is_in_the_singular() {
        assert_eq!([0_u32, 1, 2].map(|count| counted(count, "hole")), ["0 holes", "1 hole", "2 holes"]);
    }

    #[test]
    fn signs_stand_before_all_but_zero() {
        assert_eq!([0.1, -0.1, 0.004, -0.004, 0.0].map(|value| with_sign(value, 2)), ["+0.10", "-0.10", "0.00", "0.00", "0.00"]);
    }

    #[test]
    fn what_rounds_to_zero_has_no_sign() {
        let texts = [-0.004, -0.0, 0.004, -0.005_1, -12.0, f64::NEG_INFINITY].map(|value| fixed(value, 2));
        assert_eq!(texts, ["0.00", "0.00", "0.00", "-0.01", "-12.00", "-inf"]);
        assert_eq!((fixed(-0.4, 0).as_str(), typeset(&fixed(-10.0, 0)).as_str()), ("0", "−10"));
    }
}
