//! `wasi:filesystem` as guests get it: the WASI library's own functions, with a count before every write and a look before
//! every open. Linked over the library's.

use std::sync::Arc;

use wasmtime::component::Resource;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp,
    OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use crate::files::budget::{Budget, Room};
use crate::files::stream::Metered;
use crate::state::StepState;

type Fd = Resource<Descriptor>;

impl StepState {
    /// The room of a descriptor, and what may still be written.
    fn room(&self, fd: &Fd) -> FsResult<(Room, Arc<Budget>)> {
        let room = self.files.rooms.get(&fd.rep()).copied();
        // Only a descriptor that nothing here gave out has none.
        room.zip(self.files.budget.clone()).ok_or_else(|| ErrorCode::BadDescriptor.into())
    }

    /// How far a file ends before an offset: what a write there adds beside its bytes.
    fn gap(&mut self, fd: &Fd, offset: u64) -> FsResult<u64> {
        match self.ctx().table.get(fd)? {
            Descriptor::File(file) => Ok(offset.saturating_sub(file.file.metadata()?.len())),
            Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor.into()),
        }
    }

    fn is_writable(&mut self, fd: &Fd) -> FsResult<bool> {
        Ok(match self.ctx().table.get(fd)? {
            Descriptor::File(file) => !file.perms.write_not_permitted(),
            Descriptor::Dir(dir) => !dir.perms.write_not_permitted(),
        })
    }

    fn metered(&mut self, inner: Resource<DynOutputStream>, fd: &Fd) -> FsResult<Resource<DynOutputStream>> {
        let (room, budget) = self.room(fd)?;
        let table = self.ctx().table;
        let inner = table.delete(inner)?;
        let metered: DynOutputStream = Box::new(Metered::new(inner, budget, room));
        Ok(table.push(metered)?)
    }

    /// Does what creates one entry, and counts it.
    async fn creating<R>(
        &mut self,
        fd: Fd,
        create: impl AsyncFnOnce(&mut Self, Fd) -> FsResult<R>,
    ) -> FsResult<R> {
        let (_, budget) = self.room(&fd)?;
        if !budget.create() {
            return Err(ErrorCode::Quota.into());
        }
        let created = create(self, fd).await;
        if created.is_err() {
            budget.not_created();
        }
        created
    }

    /// Two paths of one operation lie in the same room: rooms are counted apart, as file systems are.
    fn same_room(&self, one: &Fd, other: &Fd) -> FsResult<()> {
        if self.room(one)?.0 == self.room(other)?.0 { Ok(()) } else { Err(ErrorCode::CrossDevice.into()) }
    }
}

impl preopens::Host for StepState {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let directories = preopens::Host::get_directories(&mut self.filesystem())?;
        for ((fd, _), room) in directories.iter().zip(&self.files.preopens) {
            self.files.rooms.insert(fd.rep(), *room);
        }
        Ok(directories)
    }
}

impl types::Host for StepState {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        types::Host::convert_error_code(&mut self.filesystem(), error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        types::Host::filesystem_error_code(&mut self.filesystem(), error)
    }
}

impl HostDescriptor for StepState {
    async fn write(&mut self, fd: Fd, mut buffer: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        let (room, budget) = self.room(&fd)?;
        let gap = self.gap(&fd, offset)?;
        if !self.is_writable(&fd)? {
            return Err(ErrorCode::NotPermitted.into());
        }
        if !budget.grow(room, gap) {
            return Err(ErrorCode::Quota.into());
        }
        let taken = budget.write_some(room, buffer.len() as u64);
        if taken == 0 && !buffer.is_empty() {
            return Err(ErrorCode::Quota.into());
        }
        buffer.truncate(usize::try_from(taken).unwrap_or(usize::MAX));
        HostDescriptor::write(&mut self.filesystem(), fd, buffer, offset).await
    }

    fn write_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        let (room, budget) = self.room(&fd)?;
        let gap = self.gap(&fd, offset)?;
        let inner =
            HostDescriptor::write_via_stream(&mut self.filesystem(), Resource::new_borrow(fd.rep()), offset)?;
        if !budget.grow(room, gap) {
            self.ctx().table.delete(inner)?;
            return Err(ErrorCode::Quota.into());
        }
        self.metered(inner, &fd)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let inner =
            HostDescriptor::append_via_stream(&mut self.filesystem(), Resource::new_borrow(fd.rep()))?;
        self.metered(inner, &fd)
    }

    async fn set_size(&mut self, fd: Fd, size: Filesize) -> FsResult<()> {
        let (room, budget) = self.room(&fd)?;
        let gap = self.gap(&fd, size)?;
        if !self.is_writable(&fd)? {
            return Err(ErrorCode::NotPermitted.into());
        }
        if !budget.grow(room, gap) {
            return Err(ErrorCode::Quota.into());
        }
        HostDescriptor::set_size(&mut self.filesystem(), fd, size).await
    }

    /// Opens regular files and directories alone: a pipe would hold a thread for ever, a device could be anything.
    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let (room, _) = self.room(&fd)?;
        let looked = self.stat_at(Resource::new_borrow(fd.rep()), path_flags, path.clone()).await;
        let is_there = match looked {
            Ok(found) => match found.type_ {
                DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink => {
                    true
                }
                _ => return Err(ErrorCode::NotPermitted.into()),
            },
            Err(_) => false,
        };
        let open = async |state: &mut Self, fd| {
            HostDescriptor::open_at(&mut state.filesystem(), fd, path_flags, path, open_flags, flags).await
        };
        let opened = if is_there || !open_flags.contains(OpenFlags::CREATE) {
            open(self, fd).await
        } else {
            self.creating(fd, open).await
        }?;
        self.files.rooms.insert(opened.rep(), room);
        Ok(opened)
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let create = async |state: &mut Self, fd| {
            HostDescriptor::create_directory_at(&mut state.filesystem(), fd, path).await
        };
        self.creating(fd, create).await
    }

    async fn link_at(
        &mut self,
        fd: Fd,
        old_path_flags: PathFlags,
        old_path: String,
        new_descriptor: Fd,
        new_path: String,
    ) -> FsResult<()> {
        self.same_room(&fd, &new_descriptor)?;
        let link = async |state: &mut Self, fd| {
            let mut files = state.filesystem();
            HostDescriptor::link_at(&mut files, fd, old_path_flags, old_path, new_descriptor, new_path).await
        };
        self.creating(fd, link).await
    }

    /// Links that lead upwards are not created: guests cannot follow them out, but other programs on this machine would.
    async fn symlink_at(&mut self, fd: Fd, source: String, destination: String) -> FsResult<()> {
        if source.starts_with('/') || source.split('/').any(|part| part == "..") {
            return Err(ErrorCode::NotPermitted.into());
        }
        let link = async |state: &mut Self, fd| {
            HostDescriptor::symlink_at(&mut state.filesystem(), fd, source, destination).await
        };
        self.creating(fd, link).await
    }

    async fn rename_at(&mut self, fd: Fd, old_path: String, new_fd: Fd, new_path: String) -> FsResult<()> {
        self.same_room(&fd, &new_fd)?;
        HostDescriptor::rename_at(&mut self.filesystem(), fd, old_path, new_fd, new_path).await
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.files.rooms.remove(&fd.rep());
        HostDescriptor::drop(&mut self.filesystem(), fd)
    }

    async fn read(&mut self, fd: Fd, length: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        HostDescriptor::read(&mut self.filesystem(), fd, length, offset).await
    }

    fn read_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        HostDescriptor::read_via_stream(&mut self.filesystem(), fd, offset)
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        HostDescriptor::read_directory(&mut self.filesystem(), fd).await
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        HostDescriptor::readlink_at(&mut self.filesystem(), fd, path).await
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        HostDescriptor::remove_directory_at(&mut self.filesystem(), fd, path).await
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        HostDescriptor::unlink_file_at(&mut self.filesystem(), fd, path).await
    }

    async fn advise(&mut self, fd: Fd, offset: Filesize, length: Filesize, advice: Advice) -> FsResult<()> {
        HostDescriptor::advise(&mut self.filesystem(), fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        HostDescriptor::sync_data(&mut self.filesystem(), fd).await
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        HostDescriptor::sync(&mut self.filesystem(), fd).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        HostDescriptor::get_flags(&mut self.filesystem(), fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        HostDescriptor::get_type(&mut self.filesystem(), fd).await
    }

    async fn set_times(&mut self, fd: Fd, access: NewTimestamp, modification: NewTimestamp) -> FsResult<()> {
        HostDescriptor::set_times(&mut self.filesystem(), fd, access, modification).await
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        HostDescriptor::stat(&mut self.filesystem(), fd).await
    }

    async fn stat_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        HostDescriptor::stat_at(&mut self.filesystem(), fd, flags, path).await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FsResult<()> {
        HostDescriptor::set_times_at(&mut self.filesystem(), fd, flags, path, access, modification).await
    }

    async fn is_same_object(&mut self, one: Fd, other: Fd) -> wasmtime::Result<bool> {
        HostDescriptor::is_same_object(&mut self.filesystem(), one, other).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        HostDescriptor::metadata_hash(&mut self.filesystem(), fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        HostDescriptor::metadata_hash_at(&mut self.filesystem(), fd, flags, path).await
    }
}

impl HostDirectoryEntryStream for StepState {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        HostDirectoryEntryStream::read_directory_entry(&mut self.filesystem(), stream).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.filesystem(), stream)
    }
}
