//! The program: see the library's header.

use std::process::ExitCode;

// Training allocates and frees tens of megabytes per step; the system's allocator gives them back to the kernel each time
// and spends more than half of the step on page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_freed_memory_for_a_second();
    epistemap::cli::main()
}

/// mimalloc's `mi_option_purge_delay`, in milliseconds, which the bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

#[allow(unsafe_code, reason = "mimalloc has no safe way to set an option")]
fn keep_freed_memory_for_a_second() {
    // SAFETY: an integer option, set before the first other thread starts; mimalloc ignores numbers that it does not know.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 1000) };
}
