//! Paints frames with a software renderer, as a machine without a graphics processor does. For benchmarks.

use crate::error::{Error, Result};
use eframe::egui::{ClippedPrimitive, TexturesDelta};
use eframe::egui_wgpu::wgpu::{
    Backends, Color, CommandEncoderDescriptor, Device, DeviceDescriptor, DeviceType, Extent3d, Instance, InstanceDescriptor, LoadOp,
    Operations, PollType, Queue, RenderPassColorAttachment, RenderPassDescriptor, StoreOp, TextureDescriptor, TextureDimension,
    TextureFormat, TextureUsages, TextureView, TextureViewDescriptor,
};
use eframe::egui_wgpu::{Renderer, RendererOptions, ScreenDescriptor};

const FORMAT: TextureFormat = TextureFormat::Rgba8Unorm;

/// A software renderer and a picture of the window.
pub struct SoftwarePainter {
    device: Device,
    queue: Queue,
    renderer: Renderer,
    view: TextureView,
    screen: ScreenDescriptor,
}

impl SoftwarePainter {
    /// Opens the software renderer of this machine; `None` where there is none.
    ///
    /// # Errors
    /// When it gives no device.
    pub fn open(size: [u32; 2]) -> Result<Option<Self>> {
        let mut descriptor = InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends &= Backends::PRIMARY;
        let adapters = pollster::block_on(Instance::new(descriptor).enumerate_adapters(Backends::PRIMARY));
        let Some(adapter) = adapters.into_iter().find(|adapter| adapter.get_info().device_type == DeviceType::Cpu) else {
            return Ok(None);
        };
        let refused = |error| Error::Engine(format!("the software renderer gives no device: {error}"));
        let (device, queue) = pollster::block_on(adapter.request_device(&DeviceDescriptor::default())).map_err(refused)?;
        let renderer = Renderer::new(&device, FORMAT, RendererOptions::default());
        let texture = device.create_texture(&TextureDescriptor {
            label: None,
            size: Extent3d { width: size[0], height: size[1], depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: TextureDimension::D2,
            format: FORMAT,
            usage: TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        let view = texture.create_view(&TextureViewDescriptor::default());
        Ok(Some(Self { device, queue, renderer, view, screen: ScreenDescriptor { size_in_pixels: size, pixels_per_point: 1.0 } }))
    }

    /// Paints a frame, and waits until it is there.
    pub fn paint(&mut self, primitives: &[ClippedPrimitive], textures: &TexturesDelta) {
        for (id, deltas) in &textures.set {
            for delta in deltas {
                self.renderer.update_texture(&self.device, &self.queue, *id, delta);
            }
        }
        let mut encoder = self.device.create_command_encoder(&CommandEncoderDescriptor::default());
        let mut buffers = self.renderer.update_buffers(&self.device, &self.queue, &mut encoder, primitives, &self.screen);
        let pass = encoder.begin_render_pass(&RenderPassDescriptor {
            color_attachments: &[Some(RenderPassColorAttachment {
                view: &self.view,
                depth_slice: None,
                resolve_target: None,
                ops: Operations { load: LoadOp::Clear(Color::BLACK), store: StoreOp::Store },
            })],
            ..RenderPassDescriptor::default()
        });
        self.renderer.render(&mut pass.forget_lifetime(), primitives, &self.screen);
        buffers.push(encoder.finish());
        self.queue.submit(buffers);
        // A lost device ends the benchmark's painting, not the benchmark.
        self.device.poll(PollType::wait_indefinitely()).ok();
        for id in &textures.free {
            self.renderer.free_texture(id);
        }
    }
}
