//! `epistemap detect`: the table in its forms, the cache, and what is refused.

use crate::program::Desk;
use epistemap::figure::provenance;
use serde_json::Value;

const SHORT: &str =
    "detect --dataset decoded-digits --images 30 --method fgm,bim --iterations 3 --eps 0.3 --on mc --samples 3 --resamples 20";

#[test]
fn the_table_comes_as_json_csv_and_latex() {
    let desk = Desk::new();
    let [json, err] = desk.succeeds(&format!("{SHORT} --unfamiliar decoded-digits --no-cache --no-checks --json"));
    assert_eq!(err, "");
    let json: Value = serde_json::from_str(&json).unwrap();
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["method"].as_str().unwrap()).collect::<Vec<_>>(), ["fgm", "bim"]);
    for scored in rows[1]["detection"].as_array().unwrap() {
        let Some(auroc) = scored["auroc"].as_object() else {
            assert_eq!((&scored["positives"], &rows[1]["success"]["successful"]), (&"successful".into(), &0.into()));
            continue;
        };
        let of = |key: &str| auroc[key].as_f64().unwrap();
        assert!(0.0 <= of("low") && of("low") <= of("high") && of("high") <= 1.0, "{scored}");
    }
    for row in rows {
        let of = |place: usize| row["success"]["interval"][place].as_f64().unwrap();
        let rate = row["success"]["rate"].as_f64().unwrap();
        assert!(of(0) <= rate && rate <= of(1) && of(0) < of(1), "{row}");
    }
    assert_eq!(json["success_differences"].as_array().map(Vec::len), Some(0), "one victim has no other");
    // The first images against themselves.
    assert_eq!(json["unfamiliar"][0]["detection"][0]["auroc"]["value"], 0.5);
    assert_eq!(json["provenance"]["dataset"]["images"], 30);

    let [csv, _] = desk.succeeds(&format!("{SHORT} --no-cache --no-checks --csv"));
    let of_json = rows[0]["detection"][0]["auroc"]["value"].as_f64().unwrap();
    let first = csv.lines().find(|line| line.starts_with("fgm,linf,0.3,mc,3,")).unwrap();
    assert_eq!(first.split(',').nth(11).unwrap().parse::<f64>().unwrap(), of_json, "{first}");
    let [latex, _] = desk.succeeds(&format!("{SHORT} --no-cache --no-checks --latex"));
    assert!(latex.contains("FGM & 0.3 &") && latex.starts_with("% {\"") && latex.contains("\n\\begin{tabular}"), "{latex}");
}

#[test]
fn scores_leave_the_program_and_give_the_same_table() {
    let desk = Desk::new();
    let [json, _] = desk.succeeds(&format!("{SHORT} --unfamiliar decoded-digits --no-cache --no-checks --json --scores scores.csv"));
    let json: Value = serde_json::from_str(&json).unwrap();
    let text = String::from_utf8(desk.read("scores.csv")).unwrap();
    let header = text.lines().find(|line| !line.starts_with('#')).unwrap();
    assert!(header.starts_with("image,label,version,attack,eps,on,model,prediction,success,predictive_entropy,"), "{header}");
    // Clean images once for both attacks, noisy and attacked ones for each, and those of other data.
    for (version, count) in [("clean", 30), ("noise", 60), ("attacked", 60), ("ood", 30)] {
        assert_eq!(text.matches(&format!(",{version},")).count(), count, "{version}");
    }
    desk.succeeds(&format!("{SHORT} --unfamiliar decoded-digits --no-cache --no-checks --json --scores scores.npz --out ours.json"));
    for file in ["scores.csv", "scores.npz"] {
        let [again, _] = desk.succeeds(&format!("detect --from-scores {file} --resamples 20 --json"));
        let again: Value = serde_json::from_str(&again).unwrap();
        let of = |attack: &str, positives: &str, negatives: &str, measure: &str| {
            let lines = again["detection"].as_array().unwrap();
            let is = |line: &&Value| {
                line["attack"] == attack && line["positives"] == positives && line["negatives"] == negatives && line["detector"] == measure
            };
            lines.iter().find(is).unwrap().clone()
        };
        for row in json["rows"].as_array().unwrap() {
            for scored in row["detection"].as_array().unwrap() {
                let key = |name: &str| scored[name].as_str().unwrap();
                let negatives = if key("negatives") == "noisy" { "noise" } else { key("negatives") };
                let line = of(row["method"].as_str().unwrap(), key("positives"), negatives, key("measure"));
                for name in ["auroc", "average_precision", "fpr_at_95_tpr", "tpr_at_1_fpr", "tpr_at_5_fpr"] {
                    assert_eq!(line[name], scored[name], "{file}: {name} of {scored}");
                }
            }
        }
        assert_eq!(of("", "ood", "clean", "mutual_information")["auroc"]["value"], 0.5);
        let [entropy, information] = ["predictive_entropy", "mutual_information"].map(|measure| of("bim", "all", "both", measure));
        assert!(entropy["auroc"]["value"] != information["auroc"]["value"], "the negative control");
    }
}

/// `tests/reference/make_scores.py` made the scores and, with scikit-learn, the numbers.
#[test]
fn the_table_of_scores_is_that_of_scikit_learn() {
    let desk = Desk::new();
    let stored = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
    std::fs::copy(stored("scores.csv"), desk.path("scores.csv")).unwrap();
    let theirs: Value = serde_json::from_slice(&std::fs::read(stored("scores.json")).unwrap()).unwrap();
    let [json, _] = desk.succeeds("detect --from-scores scores.csv --resamples 20 --json");
    let ours: Value = serde_json::from_str(&json).unwrap();
    let (ours, theirs) = (ours["detection"].as_array().unwrap(), theirs.as_array().unwrap());
    assert_eq!((ours.len(), theirs.len()), (52, 52));
    // How far the numbers of each line are from those of scikit-learn's line with these negatives.
    let farthest = |swap: &dyn Fn(&str) -> String| {
        let keys = ["attack", "positives", "detector"];
        let of = |line: &Value| {
            let negatives = swap(line["negatives"].as_str().unwrap());
            let is = |other: &&Value| keys.iter().all(|key| other[key] == line[key]) && other["negatives"] == negatives.as_str();
            let their_line = theirs.iter().find(is).unwrap();
            let apart = |key: &str| (line[key]["value"].as_f64().unwrap() - their_line[key].as_f64().unwrap()).abs();
            ["auroc", "average_precision", "fpr_at_95_tpr", "tpr_at_1_fpr", "tpr_at_5_fpr"].map(apart).into_iter().fold(0.0, f64::max)
        };
        ours.iter().filter(|line| line["positives"] != "ood" || swap("clean") == "clean").map(of).fold(0.0, f64::max)
    };
    assert!(farthest(&str::to_owned) <= 1e-9, "{}", farthest(&str::to_owned));
    let swapped = farthest(&|negatives| if negatives == "clean" { "noise".into() } else { "clean".into() });
    assert!(swapped > 0.05, "the negative control: {swapped}");
}

#[test]
fn scores_of_others_are_read_and_wrong_ones_named_by_line_and_column() {
    let desk = Desk::new();
    let good = "image,version,peer\na,clean,0.1\nb,clean,0.2\na,attacked,0.3\nb,attacked,0.15\n";
    let table = |text: &str| std::fs::write(desk.path("peer.csv"), text).unwrap();
    table(good);
    let [json, _] = desk.succeeds("detect --from-scores peer.csv --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["detection"][0]["detector"], &json["detection"][0]["auroc"]["value"]), (&"peer".into(), &0.75.into()));
    for (wrong, part) in [
        (good.replace("0.15", "much"), "line 5, column 3 'peer': 'much' is no number"),
        (good.replace("b,clean", "b,cleaned"), "line 3, column 2 'version': 'cleaned' is no version"),
        (good.replace("image", "picture"), "no column 'image'"),
        (good.replace("0.15", ""), "'peer' is empty for 1 of 4"),
        (good.replace("0.15", "0.15,7"), "line: 5"),
        ("image,version\na,clean\n".to_owned(), "no column of scores"),
        (good.replace("attacked", "noise"), "'attacked' or 'ood'"),
        (good.replace("peer", "version"), "name 'version' of another"),
    ] {
        table(&wrong);
        let sentence = desk.refuses("detect --from-scores peer.csv");
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    std::fs::write(desk.path("peer.npz"), "PK damaged").unwrap();
    assert!(desk.refuses("detect --from-scores peer.npz").contains("npz"));
    std::fs::write(desk.path("peer.txt"), good).unwrap();
    assert!(desk.refuses("detect --from-scores peer.txt").contains("ending"));
}

#[test]
fn attacked_images_are_kept_and_used_again() {
    let desk = Desk::new();
    let line = format!("{SHORT} --cache kept --no-checks --csv --out table.csv");
    desk.succeeds(&line);
    let (files, table) = (desk.files(), desk.read("table.csv"));
    assert_eq!(files.keys().filter(|path| path.starts_with(desk.path("kept"))).count(), 2);
    desk.succeeds(&line);
    assert!(desk.files() == files && desk.read("table.csv") == table);
    desk.succeeds(&line.replace("--eps 0.3", "--eps 0.2"));
    assert_eq!(desk.files().len(), files.len() + 2, "other settings, other files");
    let line = format!("{} --cache kept --no-checks --json", SHORT.replace("--samples 3", "--attack-samples 3 --samples 4"));
    let [json, _] = desk.succeeds(&line);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["rows"][0]["samples"], &json["rows"][0]["attack_samples"]), (&4.into(), &3.into()));
    assert_eq!(desk.files().len(), files.len() + 2, "draws that only measure change no attacked image");
    desk.succeeds(&line.replace("--attack-samples 3", "--attack-samples 2"));
    assert_eq!(desk.files().len(), files.len() + 4, "another number of attacked draws, other files");
}

#[test]
fn figures_of_attacks_say_what_they_were_made_from() {
    let desk = Desk::new();
    let line = "figures figure-7 figure-8 figure-14 variance-information entropy-information --pairs 5 --grid 5 --samples 2 --members 2 --attacked 6 --eps 0.2 \
                --dataset decoded-digits --format svg --out";
    desk.succeeds(&format!("{line} first"));
    for name in ["figure-7", "figure-8", "figure-14", "variance-information", "entropy-information"] {
        let of = |folder: &str| desk.read(&format!("{folder}/{name}.svg"));
        let text = String::from_utf8(of("first")).unwrap();
        let made = provenance::read(&desk.path(&format!("first/{name}.svg"))).unwrap();
        assert_eq!(made["figure"], name);
        if name.starts_with("figure") {
            assert_eq!((&made["settings"][0]["attack"]["epsilon"], &made["dataset"]["images"]), (&0.2.into(), &6.into()));
        }
        if name == "figure-7" {
            assert_eq!(text.matches("<image").count(), 5 * 6, "five rows of six images");
        }
        // From the cache, the same.
        desk.succeeds(&format!("{line} again").replace("figure-7 figure-8 figure-14 variance-information entropy-information", name));
        assert!(of("again") == text.into_bytes(), "{name}");
    }
    assert!(desk.refuses("figures figure-8 --attacked 0 --dataset decoded-digits").contains("--attacked"));
    assert!(desk.refuses("figures figure-8 --eps=-1 --dataset decoded-digits").contains("--eps"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let desk = Desk::new();
    for (change, option) in [
        ("--eps=0.1,-1", "--eps"),
        ("--eps=nan", "--eps"),
        ("--samples 0", "--samples"),
        ("--attack-samples 100001", "--attack-samples"),
        ("--images 0", "--images"),
        ("--images 99999999", "--images"),
        ("--class eleven", "--class"),
        ("--members 11", "--members"),
        ("--norm l1 --method cw", "--norm"),
        ("--unfamiliar nonsense", "nonsense"),
    ] {
        let name = |part: &str| part.split([' ', '=']).next().unwrap().trim_start_matches("--").to_owned();
        let replaced: Vec<String> = change.split(" --").map(name).collect();
        let line: Vec<&str> = SHORT.split(" --").filter(|part| !replaced.contains(&name(part))).collect();
        let sentence = desk.refuses(&format!("{} --no-cache {change}", line.join(" --")));
        assert!(sentence.contains(option), "{change}: {sentence}");
    }
    for change in ["--json --csv", "--method fgsm", "--on all", "--resamples 0", "--seeds 0", "--cache a --no-cache"] {
        desk.misunderstands(&format!("detect {change}"));
    }
}
