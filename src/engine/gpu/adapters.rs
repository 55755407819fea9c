//! The adapters of this machine: which there are, what they can, and which is taken.

use super::kernel::{Precision, THREADS, Tile};
use crate::error::{Error, Result};
use wgpu::{
    Adapter, Backends, CooperativeMatrixProperties, CooperativeScalarType, DeviceType, Features, Instance, InstanceDescriptor, Limits,
};

/// The variable that names the adapter to take, by a part of its name.
pub const VARIABLE: &str = "EPISTEMAP_ADAPTER";
/// Storage buffers that the largest kernel binds.
const MOST_BINDINGS: u32 = 8;

/// An adapter as a person chooses it.
#[derive(Clone, Debug)]
pub struct AdapterReport {
    /// Its name, driver and interface.
    pub name: String,
    /// Whether a graphics processor is behind it.
    pub hardware: bool,
    /// Its limits and what it offers, a line each.
    pub lines: Vec<String>,
    /// Why the engine cannot use it.
    pub problem: Option<String>,
}

/// The adapters of this machine, the best first. GL is asked only where nothing else is there.
fn adapters() -> Vec<Adapter> {
    let of = |backends| {
        let mut descriptor = InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends &= backends;
        pollster::block_on(Instance::new(descriptor).enumerate_adapters(backends))
    };
    let mut adapters = of(Backends::PRIMARY);
    if adapters.is_empty() {
        adapters = of(Backends::SECONDARY);
    }
    let rank = |adapter: &Adapter| match adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    };
    adapters.sort_by_key(rank);
    adapters
}

/// Why the engine cannot compute on an adapter of these limits.
pub fn problem(limits: &Limits, tile: Tile) -> Option<String> {
    let threads = tile.rows * tile.columns;
    if limits.max_compute_invocations_per_workgroup < threads.max(THREADS) {
        return Some("it has no compute shaders, or too small ones".to_owned());
    }
    if limits.max_storage_buffers_per_shader_stage < MOST_BINDINGS {
        let most = limits.max_storage_buffers_per_shader_stage;
        return Some(format!("a shader of it takes {most} storage buffers, but {MOST_BINDINGS} are needed"));
    }
    let memory = 4 * 4 * tile.depth * (tile.outputs() / 4 + tile.quads());
    (limits.max_compute_workgroup_storage_size < memory)
        .then(|| format!("it has {} bytes of workgroup memory, but {memory} are needed", limits.max_compute_workgroup_storage_size))
}

/// What is there to compute on.
pub fn reports() -> Vec<AdapterReport> {
    let report = |adapter: Adapter| {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
        let has = |feature| if features.contains(feature) { "yes" } else { "no" };
        let mib = |bytes: u64| bytes >> 20;
        AdapterReport {
            name: format!("{} ({:?}, {} {})", info.name, info.backend, info.driver, info.driver_info),
            hardware: info.device_type != DeviceType::Cpu,
            lines: vec![
                format!("kind: {:?}", info.device_type),
                format!("buffers: {} MiB, bound: {} MiB", mib(limits.max_buffer_size), mib(limits.max_storage_buffer_binding_size)),
                format!(
                    "workgroups: {} threads, {} KiB, {} a dimension; subgroups: {} to {} threads",
                    limits.max_compute_invocations_per_workgroup,
                    limits.max_compute_workgroup_storage_size >> 10,
                    limits.max_compute_workgroups_per_dimension,
                    info.subgroup_min_size,
                    info.subgroup_max_size,
                ),
                format!(
                    "16-bit floats: {}; cooperative matrices: {}; timestamps: {}",
                    has(Features::SHADER_F16),
                    if has_matrix_units(&adapter) { "yes" } else { "no" },
                    has(Features::TIMESTAMP_QUERY),
                ),
            ],
            problem: problem(&limits, Tile::of(info.device_type)),
        }
    };
    adapters().into_iter().map(report).collect()
}

/// The best adapter that can compute, or that which the environment names.
///
/// # Errors
/// When there is none.
pub fn best() -> Result<Adapter> {
    let wanted = std::env::var(VARIABLE).unwrap_or_default().to_lowercase();
    let all = adapters();
    if all.is_empty() {
        return Err(Error::Engine("no graphics adapter was found; install its driver (on Linux: Vulkan)".to_owned()));
    }
    let mut problems = Vec::new();
    for adapter in all.into_iter().filter(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted)) {
        let info = adapter.get_info();
        match problem(&adapter.limits(), Tile::of(info.device_type)) {
            None => return Ok(adapter),
            Some(problem) => problems.push(format!("{}: {problem}", info.name)),
        }
    }
    Err(Error::Engine(if problems.is_empty() {
        format!("no graphics adapter has '{wanted}' in its name; `epistemap devices` names them, {VARIABLE} chooses")
    } else {
        format!("no graphics adapter can be used ({})", problems.join("; "))
    }))
}

/// What the machine lacks to compute with a precision, for a person.
pub fn missing(precision: Precision) -> Option<String> {
    let adapter = match best() {
        Ok(adapter) => adapter,
        Err(error) => return Some(error.to_string()),
    };
    let (has, what) = match precision {
        Precision::Single => (true, ""),
        Precision::Half => (adapter.features().contains(Features::SHADER_F16), "16-bit floats"),
        Precision::Matrix => (has_matrix_units(&adapter), "matrix units that shaders can use"),
    };
    (!has).then(|| format!("The graphics adapter {} has no {what}.", adapter.get_info().name))
}

/// The adapters of this machine, for a person: what they are called and can do.
pub fn devices() -> Vec<String> {
    let adapters = reports();
    if adapters.is_empty() {
        return vec!["no graphics adapter was found; install its driver (on Linux: Vulkan)".to_owned()];
    }
    let lines = |adapter: AdapterReport| {
        let problem = adapter.problem.map(|problem| format!("  cannot be used: {problem}"));
        let hint = (!adapter.hardware).then(|| "  software: right, but slow; only taken where it is asked for by name".to_owned());
        let details = adapter.lines.into_iter().map(|line| format!("  {line}"));
        std::iter::once(adapter.name).chain(problem).chain(hint).chain(details)
    };
    adapters.into_iter().flat_map(lines).collect()
}

/// Whether a graphics processor is there that the engine can use.
pub fn has_hardware() -> bool {
    may_have_hardware() && reports().iter().any(|adapter| adapter.hardware && adapter.problem.is_none())
}

/// Linux shows a graphics processor as a file. Where there is none, the drivers need not be asked, which takes half a second.
fn may_have_hardware() -> bool {
    let files = ["/dev/dri", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/mali0", "/dev/kgsl-3d0"];
    !cfg!(target_os = "linux") || files.iter().any(|file| std::path::Path::new(file).exists())
}

/// Whether the adapter multiplies matrices of 16 × 16 halves, and adds up in single precision, by subgroups of 32 threads.
pub fn has_matrix_units(adapter: &Adapter) -> bool {
    let info = adapter.get_info();
    let fitting = |matrix: &CooperativeMatrixProperties| {
        [matrix.m_size, matrix.n_size, matrix.k_size] == [16; 3]
            && [matrix.ab_type, matrix.cr_type] == [CooperativeScalarType::F16, CooperativeScalarType::F32]
    };
    let needed = Features::EXPERIMENTAL_COOPERATIVE_MATRIX | Features::SHADER_F16;
    adapter.features().contains(needed)
        && [info.subgroup_min_size, info.subgroup_max_size] == [32; 2]
        && adapter.cooperative_matrix_properties().iter().any(fitting)
}
