//! The engine as a whole: what it does where memory is short or the device is lost, how much it reads back, how it learns its speed.

use super::device::Device;
use super::kernel::Precision;
use super::tests::device;
use super::{Engine as _, Gpu, Traffic};
use crate::engine::test_engine::small_models;
use crate::engine::{Block, Draws, Input, Masks, cpu, fallback};
use crate::random::{Purpose, Stream};
use crate::uncertainty::{GroupSums, StatisticsGrid};
use std::sync::Arc;

fn numbers(count: usize) -> Vec<u32> {
    (0..count as u32).collect()
}

fn block<'a>(z: &'a [f64], numbers: &'a [u32], draws: u32) -> Block<'a> {
    Block {
        input: Input::Latent(z),
        point_numbers: numbers,
        members: &[0, 1],
        draws: Draws::Sampled(0..draws),
        groups: 1,
        seed: 3,
        masks: Masks::Shared,
    }
}

fn latent(points: usize) -> Vec<f64> {
    (0..2 * points).map(|at| Stream::new(4, Purpose::Choice).normal([0; 3], at as u32)).collect()
}

/// The largest difference between sums.
fn difference(a: &StatisticsGrid, b: &StatisticsGrid) -> f64 {
    let points = (0..a.points()).flat_map(|point| (0..a.members()).map(move |member| (point, member)));
    let sums = points.flat_map(|(point, member)| a.sums(point, member).iter().zip(b.sums(point, member)));
    sums.map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d <= most { most } else { d })
}

#[test]
fn a_lost_device_is_an_error_and_the_processor_takes_over() {
    // A device of its own: the others' goes on.
    let Some(_) = device() else { return };
    let (models, lost) = (small_models(), Arc::new(Device::open().unwrap()));
    let engine = Gpu::new(Arc::clone(&lost), Arc::clone(&models), Precision::Single).unwrap();
    let mut engine = fallback::open(move |_| Ok(Box::new(engine)), Arc::clone(&models)).unwrap();
    let (z, numbers) = (latent(40), numbers(40));
    let expected = cpu::open(models).unwrap().statistics(&block(&z, &numbers, 20)).unwrap();
    let (mut calls, mut before) = (0, 0);
    std::thread::scope(|scope| {
        let (sender, started) = std::sync::mpsc::channel();
        scope.spawn(move || {
            // In the middle of the work: after some answers.
            (0..3).for_each(|_| started.recv().unwrap());
            lost.raw.destroy();
        });
        while engine.notice().is_none() {
            assert!(difference(&engine.statistics(&block(&z, &numbers, 20)).unwrap(), &expected) <= 1e-3);
            before += usize::from(engine.notice().is_none());
            // Nobody listens any more after the third.
            sender.send(()).unwrap_or(());
            calls += 1;
            assert!(calls < 100_000, "the loss is not noticed");
        }
    });
    assert!(before >= 3, "the device answered before it was lost");
    let notice = engine.notice().unwrap();
    assert!(notice.contains("The CPU computes") && notice.contains("the device is lost"), "{notice}");
    assert_eq!(engine.name(), "cpu");
    assert_eq!(engine.statistics(&block(&z, &numbers, 20)).unwrap(), expected, "now the processor's, to the bit");
    assert!(Device::shared().unwrap().check().is_ok(), "other devices go on");
}

#[test]
fn little_memory_means_smaller_chunks_and_too_little_is_said() {
    let Some(device) = device() else { return };
    let models = small_models();
    let (z, numbers) = (latent(300), numbers(300));
    let asked = block(&z, &numbers, 7);
    let open = || Gpu::new(Arc::clone(&device), Arc::clone(&models), Precision::Single).unwrap();
    let expected = open().statistics(&asked).unwrap();
    let mut small = open();
    small.most_bytes = 70_000;
    assert!(small.points_together(&asked).is_err(), "nothing is uploaded yet");
    assert!(difference(&small.statistics(&asked).unwrap(), &expected) <= 1e-4);
    assert!(small.points_together(&asked).unwrap() < 300, "not all points fit");
    small.most_bytes = 1000;
    assert!(small.statistics(&asked).unwrap_err().to_string().contains("memory"));
    // What runs short in the middle begins once more, and nothing counts twice.
    let mut short = open();
    short.rate = 1e12;
    short.slots.most_bytes = Some(60_000);
    assert!(difference(&short.statistics(&asked).unwrap(), &expected) <= 1e-4);
    assert!(short.most_bytes < open().most_bytes, "it ran short");
}

/// Thousands of requests of random sizes leave no wrong number and no memory.
#[test]
fn thousands_of_requests_are_right_and_leave_no_memory() {
    let Some(device) = device() else { return };
    let models = small_models();
    let (mut engine, mut other) = (Gpu::new(device, Arc::clone(&models), Precision::Single).unwrap(), cpu::open(models).unwrap());
    let (stream, z, numbers) = (Stream::new(8, Purpose::Choice), latent(64), numbers(64));
    // First the largest of each kind, in one piece: nothing later needs more.
    for masks in [Masks::Shared, Masks::PerPoint] {
        engine.rate = 1e15;
        engine.statistics(&Block { masks, groups: 12, ..block(&z, &numbers, 12) }).unwrap();
    }
    let bytes = engine.slots.bytes();
    for request in 0..2000 {
        let pick = |what: u32, most: u32| (stream.uniform([request, what, 0], 0) * f64::from(most)) as u32;
        let points = 1 + pick(0, 64) as usize;
        let mut asked = block(&z[..2 * points], &numbers[..points], 1 + pick(1, 12));
        asked.seed = pick(2, 1000);
        asked.masks = if pick(3, 2) == 0 { Masks::Shared } else { Masks::PerPoint };
        asked.groups = 1 + pick(4, asked.passes() as u32) as usize;
        let answer = engine.statistics(&asked).unwrap();
        if request % 20 == 0 {
            assert!(difference(&answer, &other.statistics(&asked).unwrap()) <= 1e-3, "request {request}");
        }
    }
    assert_eq!(engine.slots.bytes(), bytes, "buffers grow");
    engine.device.check().unwrap();
}

/// Of a map's groups only the sums over members come back, and they are those of the groups of every member.
#[test]
fn grouped_statistics_bring_few_rows_back() {
    let Some(device) = device() else { return };
    let (z, numbers) = (latent(10), numbers(10));
    let asked = Block { groups: 10, ..block(&z, &numbers, 70) };
    let mut engine = Gpu::new(device, small_models(), Precision::Single).unwrap();
    engine.rate = 1e12;
    let mut bytes = |wanted: &mut dyn FnMut(&mut Gpu)| {
        engine.traffic = Traffic::default();
        wanted(&mut engine);
        assert_eq!((engine.traffic.submissions, engine.traffic.points), (4, 10), "each member in two parts");
        engine.traffic.bytes
    };
    let (mut apart, mut pooled) = (None, None);
    let of_all = bytes(&mut |engine| apart = Some(engine.statistics(&asked).unwrap()));
    let of_few = bytes(&mut |engine| pooled = Some(engine.grouped_statistics(&asked).unwrap()));
    // Three classes: ten rows to a group of a member, four to a group of all members; 16 bytes for four points.
    assert_eq!((of_all, of_few), (2 * 2 * 10 * 10 * 3 * 16, (2 * 2 * 10 + 10 * 4) * 3 * 16));
    let (apart, (whole, sums)) = (apart.unwrap(), pooled.unwrap());
    assert!(difference(&whole, &apart.without_groups(10)) <= 1e-4);
    let expected = GroupSums::of(&apart, 10, &[0, 1]);
    for point in 0..10 {
        let [got, other] = [point, 9 - point].map(|point| expected.mutual_information_standard_error(point, 2));
        let error = sums.mutual_information_standard_error(point, 2);
        assert!((got - error).abs() <= 1e-5 && (other - error).abs() > 1e-5, "point {point}: {error}, not {got}");
    }
}

#[test]
fn speed_is_learned_from_long_turns_and_from_full_ones() {
    let turn = 0.008;
    assert_eq!(super::chunks::learned(1e12, 1.5e12 * 0.01, 0.01, turn), 1.5e12);
    assert_eq!(super::chunks::learned(1e12, 9e12 * 0.01, 0.01, turn), 2e12);
    assert_eq!(super::chunks::learned(1e12, 0.9e12 * turn, 1e-4, turn), 2e12, "a full turn that was short");
    assert_eq!(super::chunks::learned(1e12, 0.1e12 * turn, 1e-4, turn), 1e12, "a small one says nothing");
}
