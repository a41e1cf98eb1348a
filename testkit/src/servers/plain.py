"""A file system that passes what is asked of it on to a folder, and can neither link files nor rename them without
replacing others, make files without names, set modes or owners, nor flush directories. Names that begin with
`unfindable` are listed, and not found; what is called `vanishing…` is removed when it is looked at.

Arguments: the folder, where to mount, and what comes of a link: it is `refused`, its answer is `lost` and the second
request finds what the first one made, or another client is `faster`."""

import errno
import os
import sys

from mfusepy import FUSE, Operations

folder, mountpoint, links = sys.argv[1:]


def behind(path):
    return folder + path


def fail(number):
    raise OSError(number, os.strerror(number))


class Plain(Operations):
    use_ns = True

    def getattr(self, path, handle=None):
        name = os.path.basename(path)
        if name.startswith("vanishing"):
            os.remove(behind(path))
        if name.startswith("unfindable"):
            fail(errno.ENOENT)
        stat = os.lstat(behind(path))
        fields = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")
        times = ("st_atime", "st_mtime", "st_ctime")
        return {name: getattr(stat, name) for name in fields} | {name: getattr(stat, f"{name}_ns") for name in times}

    def readdir(self, path, handle):
        for entry in os.scandir(behind(path)):
            yield entry.name, {"st_ino": entry.inode(), "st_mode": entry.stat(follow_symlinks=False).st_mode}, 0

    def mkdir(self, path, mode):
        os.mkdir(behind(path))

    def rmdir(self, path):
        os.rmdir(behind(path))

    def unlink(self, path):
        os.remove(behind(path))

    def rename(self, old, new):
        os.rename(behind(old), behind(new))

    def link(self, path, existing):
        if links == "lost":
            os.link(behind(existing), behind(path))
            fail(errno.EEXIST)
        if links == "faster":
            with open(behind(path), "x") as other:
                other.write("another's")
        fail(errno.EPERM)

    def create(self, path, mode, flags=None):
        return os.open(behind(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)

    def open(self, path, flags):
        return os.open(behind(path), flags & os.O_ACCMODE)

    def read(self, path, size, offset, handle):
        return os.pread(handle, size, offset)

    def write(self, path, data, offset, handle):
        return os.pwrite(handle, data, offset)

    def fsync(self, path, only_data, handle):
        os.fsync(handle)

    def fsyncdir(self, path, only_data, handle):
        fail(errno.EINVAL)

    def release(self, path, handle):
        os.close(handle)


class Strict(FUSE):
    """The library drops the flags of a rename, so that it replaces what is there."""

    def rename_fuse_3(self, old, new, flags):
        return -errno.EINVAL if flags else self.rename_fuse_2(old, new)


if __name__ == "__main__":
    remembered = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}
    Strict(Plain(), mountpoint, foreground=True, nothreads=True, use_ino=True, **remembered)
