//! The device: an adapter of its own, apart from the window's, with the kernels' pipelines. It is shared by all engines of the process.

use super::adapters::{self, has_matrix_units};
use super::kernel::{Access, Kernel, Precision};
use super::tuning::Tuning;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use wgpu::{
    Adapter, BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, Buffer, BufferBindingType, BufferDescriptor,
    BufferUsages, ComputePipeline, ComputePipelineDescriptor, DeviceDescriptor, DeviceType, ErrorFilter, ExperimentalFeatures, Features,
    Limits, PipelineLayoutDescriptor, PollError, PollType, Queue, ShaderModuleDescriptor, ShaderRuntimeChecks, ShaderSource, ShaderStages,
    SubmissionIndex,
};

/// A device that has not finished a submission after so long hangs.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Parameters lie this far apart: no adapter asks for more.
pub const PARAMETERS_STRIDE: u32 = 256;
/// A device with its pipelines.
pub struct Device {
    /// What the adapter is called.
    pub name: String,
    /// After how many rounds its driver ends the loops of a kernel, all together, where it does so.
    pub max_loop_iterations: Option<usize>,
    /// What kind of adapter it is.
    pub kind: DeviceType,
    pub raw: wgpu::Device,
    pub queue: Queue,
    pub limits: Limits,
    pub features: Features,
    pub tuning: Tuning,
    /// Products of fewer workgroups leave a part of the adapter idle.
    pub workgroups_to_fill: u32,
    pipelines: Mutex<HashMap<(Kernel, u32), Arc<Pipeline>>>,
    /// What the device said when it was lost.
    lost: Arc<OnceLock<String>>,
    /// What it said when something failed outside of a call.
    failure: Arc<OnceLock<String>>,
}

/// A kernel, compiled.
pub struct Pipeline {
    pub pipeline: ComputePipeline,
    pub layout: BindGroupLayout,
}

/// Why a buffer could not be had.
pub enum NoBuffer {
    /// Less would do.
    OutOfMemory,
    Failed(Error),
}

/// The device that engines share; a lost one is replaced by the next that asks.
static SHARED: Mutex<Option<Arc<Device>>> = Mutex::new(None);

impl Device {
    /// The device of this process.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn shared() -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = shared.as_ref().filter(|device| device.check().is_ok()) {
            return Ok(Arc::clone(device));
        }
        let device = Arc::new(Self::open()?);
        *shared = Some(Arc::clone(&device));
        Ok(device)
    }

    /// Opens a device on the best adapter, or on that which the environment names.
    ///
    /// # Errors
    /// When there is no adapter that can compute, it gives no device, or a variable of the environment makes no sense.
    pub fn open() -> Result<Self> {
        Self::of(&adapters::best()?)
    }

    fn of(adapter: &Adapter) -> Result<Self> {
        let info = adapter.get_info();
        let tuning = Tuning::of_environment(info.device_type)?;
        if let Some(problem) = adapters::problem(&adapter.limits(), tuning.tile) {
            return Err(Error::Engine(format!("the graphics adapter {} cannot be used: {problem}", info.name)));
        }
        let mut features = adapter.features() & (Features::SHADER_F16 | Features::TIMESTAMP_QUERY);
        let mut experimental_features = ExperimentalFeatures::disabled();
        if has_matrix_units(adapter) {
            features |= Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            experimental_features = experimental();
        }
        let limits = adapter.limits();
        let descriptor = DeviceDescriptor {
            label: Some("epistemap engine"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features,
            ..DeviceDescriptor::default()
        };
        let refused = |error| Error::Engine(format!("the graphics adapter {} gives no device: {error}", info.name));
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).map_err(refused)?;
        let (lost, failure) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let (of_loss, uncaptured) = (Arc::clone(&lost), Arc::clone(&failure));
        device.set_device_lost_callback(move |_, text| {
            let _ = of_loss.set(one_line(&text));
        });
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let _ = uncaptured.set(one_line(&error.to_string()));
        }));
        // Mesa's llvmpipe counts the iterations of all loops of an invocation, and silently stops them at a limit.
        let max_loop_iterations = info.driver.to_lowercase().contains("llvmpipe").then_some(65_535);
        let (kind, pipelines) = (info.device_type, Mutex::default());
        Ok(Self {
            name: info.name,
            max_loop_iterations,
            kind,
            raw: device,
            queue,
            limits,
            features,
            tuning,
            workgroups_to_fill: workgroups_to_fill(kind),
            pipelines,
            lost,
            failure,
        })
    }

    /// Whether the adapter has what a precision needs.
    pub fn has(&self, precision: Precision) -> bool {
        self.features.contains(match precision {
            Precision::Single => Features::empty(),
            Precision::Half => Features::SHADER_F16,
            Precision::Matrix => Features::SHADER_F16 | Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
        })
    }

    /// An error that names the adapter. On a lost device anything may be the first to fail; that it is lost comes out when its work ends.
    pub fn error(&self, what: impl std::fmt::Display) -> Error {
        let polled = self.raw.poll(PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(1)) });
        if let Some(text) = self.lost.get() {
            return Error::Engine(format!("the graphics adapter {} failed: the device is lost ({text})", self.name));
        }
        let what = if polled.is_err() { format!("{what}, and it does not answer") } else { what.to_string() };
        Error::Engine(format!("the graphics adapter {} failed: {what}", self.name))
    }

    /// Whether the device still works.
    ///
    /// # Errors
    /// When it is lost, or something failed outside of a call.
    pub fn check(&self) -> Result<()> {
        self.failure.get().or(self.lost.get()).map_or(Ok(()), |text| Err(self.error(text)))
    }

    /// A kernel's pipeline for the function of that number, compiled when it is first asked for.
    ///
    /// # Errors
    /// When the driver rejects the shader.
    pub fn pipeline(&self, kernel: Kernel, activation: u32) -> Result<Arc<Pipeline>> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&(kernel, activation)) {
            return Ok(Arc::clone(pipeline));
        }
        let scope = self.raw.push_error_scope(ErrorFilter::Validation);
        let internal = self.raw.push_error_scope(ErrorFilter::Internal);
        let pipeline = Arc::new(self.compile(kernel, activation));
        let problems = [pollster::block_on(internal.pop()), pollster::block_on(scope.pop())];
        if let Some(problem) = problems.into_iter().flatten().next() {
            return Err(self.error(format!("it rejects the shader '{}': {}", kernel.name(), one_line(&problem.to_string()))));
        }
        pipelines.insert((kernel, activation), Arc::clone(&pipeline));
        Ok(pipeline)
    }

    fn compile(&self, kernel: Kernel, activation: u32) -> Pipeline {
        let text = kernel.source(self.tuning.tile, activation);
        let source = ShaderModuleDescriptor { label: Some(kernel.name()), source: ShaderSource::Wgsl(text.into()) };
        let module = trusted_module(&self.raw, source);
        let storage = |(number, access): (usize, &Access)| {
            entry(1 + number as u32, BufferBindingType::Storage { read_only: *access == Access::Read }, false)
        };
        let mut entries = vec![entry(0, BufferBindingType::Uniform, true)];
        entries.extend(kernel.bindings().iter().enumerate().map(storage));
        let layout = self.raw.create_bind_group_layout(&BindGroupLayoutDescriptor { label: Some(kernel.name()), entries: &entries });
        let of_pipeline = self.raw.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: Some(kernel.name()),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.raw.create_compute_pipeline(&ComputePipelineDescriptor {
            label: Some(kernel.name()),
            layout: Some(&of_pipeline),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() },
            cache: None,
        });
        Pipeline { pipeline, layout }
    }

    /// The most bytes of a buffer that kernels can take.
    pub fn most_bytes(&self) -> u64 {
        self.limits.max_buffer_size.min(self.limits.max_storage_buffer_binding_size)
    }

    /// A new buffer of at least so many bytes.
    ///
    /// # Errors
    /// When there is no memory for it, or the adapter has no buffers of that size.
    pub fn buffer(&self, label: &str, bytes: u64, usage: BufferUsages) -> std::result::Result<Buffer, NoBuffer> {
        let size = bytes.max(16).next_multiple_of(16);
        if size > self.most_bytes() {
            return Err(NoBuffer::OutOfMemory);
        }
        let scope = self.raw.push_error_scope(ErrorFilter::OutOfMemory);
        let buffer = self.raw.create_buffer(&BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false });
        if pollster::block_on(scope.pop()).is_some() {
            return Err(NoBuffer::OutOfMemory);
        }
        self.check().map_err(NoBuffer::Failed)?;
        Ok(buffer)
    }

    /// A buffer with the given contents, for kernels to read.
    ///
    /// # Errors
    /// When there is no memory for it, or the adapter has no buffers of that size.
    pub fn upload<T: bytemuck::NoUninit>(&self, label: &str, values: &[T]) -> Result<Buffer> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let buffer =
            self.buffer(label, bytes.len() as u64, BufferUsages::STORAGE | BufferUsages::COPY_DST).map_err(|problem| match problem {
                NoBuffer::Failed(error) => error,
                NoBuffer::OutOfMemory => self.error(format!("it has no room for the {} MB of {label}", bytes.len() / 1_000_000)),
            })?;
        self.queue.write_buffer(&buffer, 0, bytes);
        Ok(buffer)
    }

    /// As an error that ends the work.
    pub fn no_room(&self, problem: NoBuffer) -> Error {
        match problem {
            NoBuffer::Failed(error) => error,
            NoBuffer::OutOfMemory => self.error("its memory is full"),
        }
    }

    /// Waits until a submission is done.
    ///
    /// # Errors
    /// When the device is lost or hangs.
    pub fn wait(&self, submission: SubmissionIndex) -> Result<()> {
        let wait = PollType::Wait { submission_index: Some(submission), timeout: Some(PATIENCE) };
        let answered = self.raw.poll(wait);
        self.check()?;
        answered.map(|_| ()).map_err(|error| match error {
            PollError::Timeout => self.error("it has not finished a piece of work for a minute"),
            PollError::WrongSubmissionIndex(..) => self.error("the device is lost"),
        })
    }
}

/// By the kind of adapter: two workgroups on each of the multiprocessors of the largest (144), on those of an integrated one, and never on
/// a software adapter, which is kept busy by any product.
fn workgroups_to_fill(kind: DeviceType) -> u32 {
    match kind {
        DeviceType::DiscreteGpu => 288,
        DeviceType::IntegratedGpu | DeviceType::VirtualGpu | DeviceType::Other => 64,
        DeviceType::Cpu => 0,
    }
}

fn entry(binding: u32, ty: BufferBindingType, has_dynamic_offset: bool) -> BindGroupLayoutEntry {
    BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    }
}

/// A module without counters in its loops: they keep drivers from unrolling, and so the sums of the product out of registers.
#[allow(unsafe_code, reason = "wgpu has no safe way to leave the counters out")]
fn trusted_module(device: &wgpu::Device, source: ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    let mut checks = ShaderRuntimeChecks::checked();
    checks.force_loop_bounding = false;
    // SAFETY: the shaders are this program's own, and every loop in them counts up to a bound that it does not change. Bounds of
    // buffers stay checked.
    unsafe { device.create_shader_module_trusted(source, checks) }
}

#[allow(unsafe_code, reason = "wgpu calls its cooperative matrices experimental")]
fn experimental() -> ExperimentalFeatures {
    // SAFETY: what may be undefined there is known; the only shader that uses them is valid by naga's rules, and `engine::auto` holds its
    // answers against the processor's before it is taken.
    unsafe { ExperimentalFeatures::enabled() }
}

/// A driver's text, which may have many lines, as a part of a sentence.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}
