//! The names of classes, by which models and data agree.

/// Whether the same classes are named in the same order, upper and lower case apart.
pub fn same_classes(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.to_lowercase() == other.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_in_their_order_and_case_apart() {
        let same = |one: &[&str], other: &[&str]| {
            same_classes(
                &one.iter().map(ToString::to_string).collect::<Vec<_>>(),
                &other.iter().map(ToString::to_string).collect::<Vec<_>>(),
            )
        };
        assert!(same(&["cat", "Dog"], &["Cat", "dog"]) && same(&["Äpfel"], &["äpfel"]));
        assert!(!same(&["cat", "dog"], &["dog", "cat"]) && !same(&["cat"], &["cat", "dog"]) && !same(&["cat"], &["cats"]));
    }
}
