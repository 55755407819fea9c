//! Errors in the words of the window: jobs name the options of the command line, for which the window has controls.

use std::borrow::Cow;

/// Remedies by their first words, and what the window offers instead.
const REMEDIES: [(&str, &str); 3] = [
    ("add classifiers with --add-member", "open the shipped models in the menu Models, then “Use this VAE” on its card"),
    ("train one with --latent", "train one with 2 latent dimensions"),
    ("name another place with --cache", "free some space, or change the permissions of the folder"),
];

/// Parts of remedies for which the window has nothing, or other words.
const PHRASES: [(&str, &str); 3] = [
    (", or allow more with --memory", ""),
    (" (an image folder with --shape), or take --architecture mlp", ", or choose linear layers"),
    ("such as --extent=", "such as "),
];

/// Options that the window calls otherwise; it calls the rest by their own words.
const CONTROLS: [(&str, &str); 7] = [
    ("augment", "augmentation"),
    ("backbone", "a head on…"),
    ("dataset", "data"),
    ("eps", "ε"),
    ("iterations", "steps"),
    ("on", "attacked"),
    ("samples", "draws"),
];

/// The sentence of an error with the window's controls in place of command-line options.
pub fn in_window(sentence: &str) -> Cow<'_, str> {
    if !sentence.contains("--") {
        return Cow::Borrowed(sentence);
    }
    let remedy = sentence.rfind("; ").map_or(0, |end| end + 2);
    let known = REMEDIES.iter().find(|(first_words, _)| sentence[remedy..].starts_with(first_words));
    let mut text = known.map_or_else(|| sentence.to_owned(), |(_, instead)| format!("{}{instead}.", &sentence[..remedy]));
    for (phrase, instead) in PHRASES {
        text = text.replace(phrase, instead);
    }
    let mut parts = text.split("--");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Dashes within a word are part of a name.
        if !shown.is_empty() && !shown.ends_with([' ', '(', '`']) {
            shown += "--";
            shown += part;
            continue;
        }
        let end = part.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(part.len());
        let (option, rest) = part.split_at(end);
        let control = CONTROLS.iter().find(|(of, _)| *of == option).map(|(_, control)| (*control).to_owned());
        shown += &control.unwrap_or_else(|| option.replace('-', " "));
        shown += rest;
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::path::Path;

    #[test]
    fn errors_name_controls_in_place_of_options() {
        let said = |setting: &str, mend: &str| in_window(&Error::setting(setting, "a problem", mend).to_string()).into_owned();
        assert_eq!(said("--learning-rate", "choose an --optimiser too"), "learning rate: a problem; choose an optimiser too.");
        assert_eq!(said("--on", "choose mc or ensemble"), "attacked: a problem; choose mc or ensemble.");
        assert_eq!(said("--grid", "give 9 at most, or allow more with --memory"), "grid: a problem; give 9 at most.");
        assert_eq!(said("a--b", "choose fewer --members"), "a--b: a problem; choose fewer members.");
        let file = Error::file(Path::new("m"), "holds no classifier", "add classifiers with --add-member DIR, or `--vae m` alone");
        let expected = "m: holds no classifier; open the shipped models in the menu Models, then “Use this VAE” on its card.";
        assert_eq!(in_window(&file.to_string()), expected);
    }
}
