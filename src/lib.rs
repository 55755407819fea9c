//! Epistemap: a microscope for what an image classifier does not know.
//!
//! It decodes the two-dimensional latent plane of a variational autoencoder into images, evaluates a Bayesian classifier (MC
//! dropout, last-layer Laplace, or an ensemble) on each of them many times, and maps how much the predictions disagree:
//! predictive entropy, mutual information and the other measures of Smith & Gal, *Understanding Measures of Uncertainty for
//! Adversarial Example Detection* (UAI 2018).
//!
//! The data go one way through the rooms, and `tests/arrows.rs` holds them to it:
//!
//! | room | holds |
//! |---|---|
//! | [`error`], [`budget`], [`files`], [`numbers`], [`random`] | the one error type; the memory budget; whole-file reads and writes; numbers as text; counter-based random numbers |
//! | [`uncertainty`] | statistics of draws, which add up, and the measures, which are pure functions of them |
//! | [`nets`] | networks as data: graphs of operations with named weights, the models made of them, the model folder, and the lowering to what engines run |
//! | [`data`] | images with labels: IDX files, image folders, downloads, where data are looked for |
//! | [`latent`] | views of the latent plane, where the data lie on it and how densely, geodesics |
//! | [`kernels`] | convolutions, dense layers, batch normalisation, pooling and elementwise functions, forward and backward |
//! | [`engine`] | latent points or images in, statistics out: `cpu` (vectorised), `gpu` (shaders; alone in knowing wgpu), `reference` (plain f64); where another fails, the CPU takes over |
//! | [`analysis`] | −ELBO, calibration, AUROC, rank correlation, holes, and the intervals of them |
//! | [`autodiff`] | gradients, training, last-layer Laplace; alone in knowing candle |
//! | [`attack`] | changes to images within a budget that fool the networks: FGM, BIM, MIM, PGD and others |
//! | [`figure`] | figures for print, with their provenance |
//! | [`jobs`] | what window and command line both ask for: maps, interpolation, holes, figures, trainings; the threads that do it |
//! | [`app`] | the window: one session, panels over it; it asks jobs and never waits |
//! | [`cli`] | one file per verb |
//!
//! Where to add what: a measure is a variant in `uncertainty/measure.rs`; an engine a file and a line in
//! [`engine::available`]; a shader a file in `shaders/`, a variant of `engine::gpu`'s kernels, and a network in `engine::gpu`'s `program_tests` or a twin; an operation a variant of [`nets::Op`] (the header of `nets` says what else); a figure an entry
//! in [`figure::all`]; an attack a file and a line in [`attack::all`]; a data set an entry in [`data::sources`]; a verb a file in `cli`; a panel of the
//! window a file or folder and a line in `app/panels/mod.rs`; a shortcut a line in `app/shell/keys.rs`.

pub mod analysis;
pub mod app;
pub mod attack;
pub mod autodiff;
pub mod budget;
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod figure;
pub mod files;
pub mod jobs;
pub mod kernels;
pub mod latent;
pub mod nets;
pub mod numbers;
pub mod random;
pub mod uncertainty;
