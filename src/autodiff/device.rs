//! What tensors are computed on. Builds with a graphics processor need its toolkit, which the machines that test this program do not have: on
//! them the operations that such a build takes are held to those of the CPU, and the build itself is not tried.

use candle_core::Device;
use std::sync::OnceLock;

/// What [`device`] is, for a person.
pub fn device_name() -> &'static str {
    match device() {
        Device::Cpu => "the CPU",
        Device::Cuda(_) => "a graphics processor, by CUDA",
        Device::Metal(_) => "a graphics processor, by Metal",
    }
}

/// The first graphics processor that candle reaches, in builds with the feature `cuda` or `metal`; else the CPU.
pub fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        // A processor that is there but cannot start is none: the CPU can do all that it can.
        let found = [Device::cuda_if_available(0), Device::metal_if_available(0)].into_iter().flatten().find(|device| !device.is_cpu());
        found.unwrap_or(Device::Cpu)
    })
}
