//! What tensors are computed on.

use candle_core::Device;
use std::sync::OnceLock;

/// The first graphics processor that candle reaches, in builds with the feature `cuda` or `metal`; else the CPU.
pub fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        // A processor that is there but cannot start is none: the CPU can do all that it can.
        let found = [Device::cuda_if_available(0), Device::metal_if_available(0)].into_iter().flatten().find(|device| !device.is_cpu());
        found.unwrap_or(Device::Cpu)
    })
}
