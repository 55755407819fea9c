//! The kernels: their WGSL, the constants and parameters that Rust puts in front of it, and what they bind.

use super::function;
use half::f16;
use std::fmt::Write as _;
use wgpu::DeviceType;

/// Threads of a workgroup of every kernel but the product.
pub const THREADS: u32 = 128;
/// Terms that a kernel adds up in one go: the rounding error of a running sum grows with the number of its terms.
pub const PART: u32 = 128;

/// Parameters of a kernel: one structure in Rust and in WGSL.
pub trait Parameters {
    /// The structure's declaration in WGSL.
    const WGSL: &'static str;

    /// The fields' names in order.
    const NAMES: &'static [&'static str];

    /// Its fields in order.
    fn words(&self) -> Vec<u32>;

    /// The function that the kernel applies, by its number: pipelines are compiled for it, for a choice among all of them is long code.
    fn activation(&self) -> u32 {
        Self::NAMES.iter().position(|name| *name == "activation").map_or(0, |place| self.words()[place])
    }
}

macro_rules! parameters {
    ($($(#[$text:meta])* $name:ident { $($field:ident),* $(,)? })*) => { $(
        $(#[$text])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $(pub $field: u32),* }

        impl Parameters for $name {
            const WGSL: &'static str = concat!("struct Parameters {\n", $("    ", stringify!($field), ": u32,\n"),*, "}\n");
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            fn words(&self) -> Vec<u32> {
                vec![$(self.$field),*]
            }
        }
    )* };
}

parameters! {
    /// Of `product.wgsl`. `quads`: vec4s of points; `columns`: positions · quads; `x_draw`, `out_draw`: vec4s from one draw to the next;
    /// `input_stride`, `output_stride`: from one draw's list to the next; `first_group`, `first_draw`: where this part of it begins;
    /// `scale`: the bits of a factor of the sums; `out_start`: vec4s of the output before the first that is made; `scatter`: 1 where the
    /// positions have places in channels of `out_plane` vec4s.
    ProductParameters {
        quads, columns, outputs, weight_quads, x_draw, out_draw, out_start, out_plane, scatter, input_stride, output_stride, gather_inputs,
        gather_outputs, subtract, scale, activation, low, high, first_group, first_draw,
    }
    /// Of `grouped.wgsl`. `group_rows`: rows of a group of the input; `out_plane`: vec4s of a channel of the output.
    GroupedParameters {
        count, quads, positions, outputs, taps, group_outputs, group_rows, x_draw, out_draw, out_plane, activation, low, high,
    }
    /// Of `apply.wgsl`. `part`: vec4s of a draw.
    ApplyParameters { count, part, x_draw, out_draw, out_start, activation, low, high }
    /// Of `affine.wgsl`. `unit_quads`: vec4s of a unit.
    AffineParameters { count, unit_quads, units, activation, low, high }
    /// Of `combine.wgsl`. `part`: vec4s of a draw; `unit`: rows of the first value to one of the second.
    CombineParameters { count, quads, part, x_draw, y_draw, unit, multiply, activation, low, high }
    /// Of `plane.wgsl`. `size`, `to`: rows of a channel of the input and of the output.
    PlaneParameters { count, quads, size, to, maximum, activation, low, high }
    /// Of `moments.wgsl`. `rows`: those of a run; `epsilon`: its bits.
    MomentsParameters { quads, rows, epsilon }
    /// Of `normalise.wgsl`. `rows`: those of a draw.
    NormaliseParameters { count, quads, rows, run_rows, unit_rows, activation, low, high }
    /// Of `channel_softmax.wgsl`. `log`: 1 for the logarithm.
    ChannelSoftmaxParameters { count, quads, places, channels, log }
    /// Of `mask.wgsl`. `size`: rows of a unit; `scale`: the bits of 1 / (1 − rate).
    MaskParameters { count, quads, units, size, x_draw, first_draw, stream, seed, member, threshold, scale, per_point }
    /// Of `kept.wgsl`. `stride`: from one list to the next; `dropped`: 1 to list the dropped units instead of the kept ones.
    KeptParameters { units, stride, threshold, dropped, first_draw, stream, seed, member }
    /// Of `total.wgsl`.
    TotalParameters { count, parts, quads, activation, low, high }
    /// Of `softmax.wgsl`.
    SoftmaxParameters { count, quads, classes }
    /// Of `tally.wgsl`.
    TallyParameters { count, quads, classes }
    /// Of `pool.wgsl`. `first`: 1 where the sums over members begin.
    PoolParameters { count, quads, classes, groups, first }
    /// Of `peak.wgsl`.
    PeakParameters { rounds }
}

/// In what the product multiplies; it always adds up in single precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32 bits.
    Single,
    /// 16 bits.
    Half,
    /// 16 bits, on matrix units.
    Matrix,
}

/// A kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    Product(Precision),
    Grouped,
    Apply,
    Affine,
    Combine,
    Plane,
    Moments,
    Normalise,
    ChannelSoftmax,
    Mask,
    Kept,
    Total,
    Softmax,
    Tally,
    Pool,
    Peak,
}

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// The threads of a workgroup of the product, by rows of outputs and columns of points, and how many inputs it takes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    pub rows: u32,
    pub columns: u32,
    pub depth: u32,
}

impl Tile {
    /// The tile for a kind of adapter. Graphics processors: 64 outputs × 128 points by 128 threads of 8 × 8 sums, in 12 KiB of workgroup
    /// memory; 64 is what the paper's second convolution makes, and what a draw keeps of its hidden layer. A software adapter has no
    /// use for many threads: small tiles waste less where points are few.
    pub fn of(kind: DeviceType) -> Self {
        match kind {
            DeviceType::Cpu => Self { rows: 4, columns: 4, depth: 16 },
            DeviceType::DiscreteGpu | DeviceType::IntegratedGpu | DeviceType::VirtualGpu | DeviceType::Other => {
                Self { rows: 8, columns: 16, depth: 16 }
            }
        }
    }

    /// Whether the threads of a workgroup share what they bring in evenly: see `share` and the loads in `product_common.wgsl`.
    pub fn is_possible(self) -> bool {
        let Self { rows, columns, depth } = self;
        rows % 2 == 0 && columns % 2 == 0 && [rows, columns].iter().all(|&size| size > 0 && depth > 0 && 2 * depth % size == 0)
    }

    /// Outputs of a workgroup.
    pub fn outputs(self) -> u32 {
        8 * self.rows
    }

    /// Vec4s of columns of a workgroup.
    pub fn quads(self) -> u32 {
        2 * self.columns
    }
}

impl Kernel {
    /// Every kernel.
    #[cfg(test)]
    pub const ALL: [Self; 18] = [
        Self::Product(Precision::Single),
        Self::Product(Precision::Half),
        Self::Product(Precision::Matrix),
        Self::Grouped,
        Self::Apply,
        Self::Affine,
        Self::Combine,
        Self::Plane,
        Self::Moments,
        Self::Normalise,
        Self::ChannelSoftmax,
        Self::Mask,
        Self::Kept,
        Self::Total,
        Self::Softmax,
        Self::Tally,
        Self::Pool,
        Self::Peak,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product(Precision::Single) => "product",
            Self::Product(Precision::Half) => "product (f16)",
            Self::Product(Precision::Matrix) => "product (matrix units)",
            Self::Grouped => "grouped",
            Self::Apply => "apply",
            Self::Affine => "affine",
            Self::Combine => "combine",
            Self::Plane => "plane",
            Self::Moments => "moments",
            Self::Normalise => "normalise",
            Self::ChannelSoftmax => "channel softmax",
            Self::Mask => "mask",
            Self::Kept => "kept",
            Self::Total => "total",
            Self::Softmax => "softmax",
            Self::Tally => "tally",
            Self::Pool => "pool",
            Self::Peak => "peak",
        }
    }

    /// Its tile on an adapter of that tile, if it is a product: on matrix units a workgroup is four subgroups of 32 threads, and takes whole
    /// matrices of 16 inputs.
    pub fn tile(self, adapter: Tile) -> Tile {
        match self {
            Self::Product(Precision::Matrix) => Tile { depth: adapter.depth.next_multiple_of(16), ..Tile::of(DeviceType::DiscreteGpu) },
            _ => adapter,
        }
    }

    /// How it uses its storage buffers, which are bound behind the parameters.
    pub fn bindings(self) -> &'static [Access] {
        use Access::{Read, Write};
        match self {
            Self::Product(_) => &[Read, Read, Read, Read, Read, Read, Read, Write],
            Self::Grouped => &[Read, Read, Read, Read, Read, Write],
            Self::Plane | Self::Normalise | Self::Tally => &[Read, Read, Read, Write],
            Self::Affine | Self::Combine | Self::Mask | Self::Total => &[Read, Read, Write],
            Self::Apply | Self::Moments | Self::ChannelSoftmax | Self::Softmax => &[Read, Write],
            Self::Pool => &[Read, Write, Write],
            Self::Kept | Self::Peak => &[Write],
        }
    }

    /// Its WGSL, complete, for the function of that number.
    pub fn source(self, tile: Tile, activation: u32) -> String {
        const ACTIVATION: &str = include_str!("../../../shaders/activation.wgsl");
        const PHILOX: &str = include_str!("../../../shaders/philox.wgsl");
        const PRODUCT: &str =
            concat!(include_str!("../../../shaders/activation.wgsl"), include_str!("../../../shaders/product_common.wgsl"));
        let (parameters, library, body) = match self {
            Self::Product(Precision::Matrix) => (ProductParameters::WGSL, PRODUCT, include_str!("../../../shaders/product_matrix.wgsl")),
            Self::Product(_) => (ProductParameters::WGSL, PRODUCT, include_str!("../../../shaders/product.wgsl")),
            Self::Apply => (ApplyParameters::WGSL, ACTIVATION, include_str!("../../../shaders/apply.wgsl")),
            Self::Grouped => (GroupedParameters::WGSL, ACTIVATION, include_str!("../../../shaders/grouped.wgsl")),
            Self::Affine => (AffineParameters::WGSL, ACTIVATION, include_str!("../../../shaders/affine.wgsl")),
            Self::Combine => (CombineParameters::WGSL, ACTIVATION, include_str!("../../../shaders/combine.wgsl")),
            Self::Plane => (PlaneParameters::WGSL, ACTIVATION, include_str!("../../../shaders/plane.wgsl")),
            Self::Moments => (MomentsParameters::WGSL, "", include_str!("../../../shaders/moments.wgsl")),
            Self::Normalise => (NormaliseParameters::WGSL, ACTIVATION, include_str!("../../../shaders/normalise.wgsl")),
            Self::ChannelSoftmax => (ChannelSoftmaxParameters::WGSL, "", include_str!("../../../shaders/channel_softmax.wgsl")),
            Self::Mask => (MaskParameters::WGSL, PHILOX, include_str!("../../../shaders/mask.wgsl")),
            Self::Kept => (KeptParameters::WGSL, PHILOX, include_str!("../../../shaders/kept.wgsl")),
            Self::Total => (TotalParameters::WGSL, ACTIVATION, include_str!("../../../shaders/total.wgsl")),
            Self::Softmax => (SoftmaxParameters::WGSL, "", include_str!("../../../shaders/softmax.wgsl")),
            Self::Tally => (TallyParameters::WGSL, "", include_str!("../../../shaders/tally.wgsl")),
            Self::Pool => (PoolParameters::WGSL, "", include_str!("../../../shaders/pool.wgsl")),
            Self::Peak => (PeakParameters::WGSL, "", include_str!("../../../shaders/peak.wgsl")),
        };
        let mut source = String::new();
        if let Self::Product(precision) = self {
            let (enable, element) = match precision {
                Precision::Single => ("", "f32"),
                Precision::Half => ("enable f16;\n", "f16"),
                Precision::Matrix => ("enable f16;\nenable wgpu_cooperative_matrix;\n", "f16"),
            };
            let half = precision != Precision::Single;
            let Tile { rows, columns, depth } = self.tile(tile);
            let _ = write!(
                source,
                "{enable}alias Element = {element};\nconst HALF: bool = {half};\nconst LARGEST: f32 = {};\nconst THREAD_ROWS: u32 = {rows}u;\n\
                 const THREAD_COLUMNS: u32 = {columns}u;\nconst DEPTH: u32 = {depth}u;\n",
                f16::MAX
            );
        } else {
            let _ = writeln!(source, "const THREADS: u32 = {THREADS}u;\nconst PART: u32 = {PART}u;");
        }
        function::declare(&mut source, activation);
        source + parameters + library + body
    }
}
