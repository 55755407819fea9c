//! A soak of an engine.

use super::super::progress::Bar;
use super::resident_megabytes;
use crate::engine;
use crate::error::{Error, Result};
use crate::jobs::{Progress, Soak, soak};
use serde_json::{Value, json};

/// How often the memory is looked at, evenly through the requests.
const LOOKS: u64 = 10;

/// Asks for many maps, half of which are stopped; answers how that went, and what it is as an error where it did not go well.
pub fn requests(name: &str, count: u32, seed: u32, tolerance: f64) -> Result<(Value, Result<()>)> {
    let open = engine::named(name)?.open;
    let bar = Bar::new(count.into(), "requests");
    let (mut memory, mut opened) = (Vec::new(), "");
    let outcome =
        soak(|models| open(models).inspect(|engine| opened = engine.name()), count, seed, tolerance, &mut |Progress { done, total }| {
            bar.at(done, "");
            if done >= memory.len() as u64 * total / LOOKS {
                memory.push(resident_megabytes());
            }
            std::ops::ControlFlow::Continue(())
        })?;
    drop(bar);
    let verdict = judge(&outcome);
    let result = json!({
        "engine": opened, "requests": count, "seed": seed, "tolerance": tolerance, "finished": outcome.finished, "stopped": outcome.stopped,
        "cells": outcome.cells, "wrong_cells": outcome.wrong, "errors": outcome.errors, "first_trouble": outcome.first_trouble,
        "megabytes_before": memory.first(), "megabytes_after": memory.last(), "megabytes": memory,
    });
    Ok((result, verdict))
}

fn judge(Soak { wrong, errors, first_trouble, .. }: &Soak) -> Result<()> {
    let Some(first) = first_trouble else { return Ok(()) };
    let problem = format!("{wrong} cells are wrong and {errors} requests failed; {}", first.trim_end_matches('.'));
    Err(Error::setting("--engine", problem, "report this defect, or choose another engine"))
}
