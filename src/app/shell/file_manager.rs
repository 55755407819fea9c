//! Opens folders in the system's file manager.

use crate::app::state::scope::OpenFolder;
use crate::error::Error;
use std::path::Path;
use std::sync::Arc;

/// Opens a folder; `None` where the system has no program for that.
pub fn file_manager() -> Option<OpenFolder> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &Path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    // Elsewhere the program is a part of the system.
    let has_program = !cfg!(target_os = "linux") || open::commands(".").iter().any(|command| is_there(Path::new(command.get_program())));
    let open: OpenFolder = Arc::new(|folder| open::that_detached(folder).map_err(|error| Error::io(folder, &error)));
    has_program.then_some(open)
}
