"""Local folders: listed by `scandir`, read by plain system calls."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, Literal

from mmdata.core.ports import Fault
from mmdata.errors import Unreadable
from mmdata.source.listing import Found, Listing, changed
from mmdata.source.names import is_dropping, key_text, quoted

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # non-blocking: a pipe that took a file's name can't hang us


@dataclass(frozen=True)
class LocalPlace:
    """A folder on a disk.

    Args:
        root: its path. follow_links: whether links may lead out of it. Those that stay inside are always followed.
    """

    root: str
    follow_links: bool = False

    def holds(self) -> Literal["file", "folder"] | None:
        """What stands at the root."""
        if os.path.isdir(self.root):
            return "folder"
        return "file" if os.path.isfile(self.root) else None

    def relative(self, path: str) -> str | None:
        """An absolute path as one relative to the root: as they are spelled, or where links lead."""
        path, spelled, real = os.path.normpath(path), os.path.abspath(self.root), _real(self.root)
        if _inside(path, spelled):
            return os.path.relpath(path, spelled)
        folder, name = os.path.split(path)
        try:
            places = (os.path.join(_real(folder), name), os.path.realpath(path))
        except ValueError:  # no path that the system could have
            return None
        return next((os.path.relpath(full, real) for full in places if _inside(full, real)), None)

    def walk(self, name: str) -> Listing:
        """Every file below the root, once, wherever links lead."""
        return _Walk(self, name).run()

    def stat(self, path: str) -> Found:
        """The file at a relative path."""
        full = f"{self.root}/{path}"
        try:
            status = os.lstat(full)
            linked = stat.S_ISLNK(status.st_mode)
            real = os.path.realpath(full) if linked else _real(os.path.dirname(full))
            if not self.follow_links and not _inside(real, _real(self.root)):
                return Found(path, problem=("link_outside", _OUTSIDE.format(path)))
            return _found(path, os.stat(full) if linked else status)
        except (OSError, ValueError) as error:
            return Found(path, problem=_problem(path, error))

    def finder(self) -> Callable[[str], Found]:
        """Tells of many files by path."""
        return self.stat

    def open(self, path: str) -> BinaryIO:
        """A file for reading."""
        try:
            return open(f"{self.root}/{path}", "rb")  # the caller closes it
        except (OSError, ValueError) as error:
            raise Unreadable(f"{path}: {_says(error)}") from None

    def load(self, path: str, *, offset: int, size: int, whole: bool, signature: str) -> bytes:
        """`size` bytes of a file, checked against its listing before and after they are read."""
        with self.window(path, offset=offset, size=size, whole=whole, signature=signature) as opened:
            return opened.all()

    def window(self, path: str, *, offset: int, size: int, whole: bool, signature: str) -> Window:
        """The same piece by piece, checked whenever one is read."""
        try:
            opened = os.open(f"{self.root}/{path}", _FLAGS)
        except (OSError, ValueError) as error:
            raise Unreadable(f"{path}: {_says(error)}") from None
        window = Window(opened, path, offset, size, whole, signature)
        try:
            if not self.follow_links and not _inside(_path_of(opened, f"{self.root}/{path}"), _real(self.root)):
                raise Unreadable(_OUTSIDE.format(path))
            window.verify()
        except BaseException:
            window.close()
            raise
        return window


class Window(io.RawIOBase):
    """A file or a range of it, which must stay what was listed for as long as it is read.

    Args:
        opened: its descriptor, closed with this. path: for messages. offset, size: of the range, in bytes.
        whole: whether that is all of the file. signature: that it must have; "" is any.

    Raises:
        Unreadable: by every way to read, where it has become another file, or is cut short.
    """

    def __init__(self, opened: int, path: str, offset: int, size: int, whole: bool, signature: str) -> None:
        self._opened, self._path, self._offset, self._size = opened, path, offset, size
        self._whole, self._signature, self._at = whole, signature, 0

    def all(self) -> bytes:
        """All of it."""
        data = self._read(self._size, 0)
        while len(data) < self._size:  # one call gives 2 GB at most
            data += self._read(self._size - len(data), len(data))
        self.verify()
        return data

    def verify(self) -> None:
        """See whether it is still the file that was listed."""
        try:
            _verify(os.fstat(self._opened), self._path, self._size if self._whole else None, self._signature)
        except OSError as error:
            raise Unreadable(f"{self._path}: {_says(error)}") from None

    def readinto(self, buffer: Buffer, /) -> int:
        if self.closed:
            raise ValueError(f"{self._path}: it is closed")  # another file may have its descriptor by now
        into = memoryview(buffer).cast("B")
        n = min(len(into), max(0, self._size - self._at))
        if not n:
            return 0
        data = self._read(n, self._at)
        self.verify()
        into[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, size: int, at: int) -> bytes:
        try:
            data = os.pread(self._opened, size, self._offset + at)
        except OSError as error:
            raise Unreadable(f"{self._path}: {_says(error)}") from None
        if size and not data:
            raise Unreadable(changed(self._path, f"{at} bytes are left of {self._size}"))
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            os.close(self._opened)
        super().close()


def _verify(now: os.stat_result, path: str, size: int | None, signature: str) -> None:
    if not stat.S_ISREG(now.st_mode):
        raise Unreadable(changed(path, "it is no file any more"))
    if size is not None and now.st_size != size:
        raise Unreadable(changed(path, f"{now.st_size} bytes, not {size}"))
    if signature and f"mtime:{now.st_mtime_ns}" != signature:
        raise Unreadable(changed(path, "it was written to"))


_OUTSIDE = "{}: a link leads out of the source's folder; say follow_links: true to read what it names"


def _path_of(opened: int, path: str) -> str:
    """Where an open file really lies, all links resolved."""
    try:
        return os.readlink(f"/proc/self/fd/{opened}")
    except OSError:
        return os.path.realpath(path)


def _real(folder: str) -> str:
    return _resolved(folder if folder.startswith("/") else os.path.join(os.getcwd(), folder))


@lru_cache(maxsize=1024)
def _resolved(folder: str) -> str:
    return os.path.realpath(folder)


def _inside(real: str, root: str) -> bool:
    return real == root or real.startswith(root if root.endswith("/") else f"{root}/")


def _found(path: str, status: os.stat_result) -> Found:
    if stat.S_ISREG(status.st_mode):
        return Found(path, status.st_size, f"mtime:{status.st_mtime_ns}")
    return Found(path, problem=("not_a_file", f"{path}: a {_sort(status.st_mode)}, not a file"))


def _sort(mode: int) -> str:
    sorts = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return sorts.get(stat.S_IFMT(mode), "device")


def _problem(path: str, error: OSError | ValueError, *, linked: bool = False) -> tuple[str, str]:
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "link_loop", f"{path}: a link that leads back to itself"
    if linked and isinstance(error, OSError) and error.errno == errno.ENOENT:
        return "broken_link", f"{path}: a link to a file that is not there"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "missing", f"{path}: there is no such file"
    return "unreadable", f"{path}: {_says(error)}"


def _says(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


class _Walk:
    """One walk of a folder. Real folders come first; then those that only links lead to, each once."""

    def __init__(self, place: LocalPlace, name: str) -> None:
        self.place, self.name, self.real = place, name, os.path.realpath(place.root)
        self.files: list[Found] = []
        self.faults: list[Fault] = []
        self.ignored: list[str] = []
        self.seen: set[tuple[int, int] | None] = set()
        self.links: list[str] = []  # linked folders, still to be walked

    def run(self) -> Listing:
        self._folders("")
        while self.links:
            self.links.sort(reverse=True)
            path = self.links.pop()
            if self._identity(path) in self.seen:
                self.ignored.append(f"{path}/")
            else:
                self._folders(f"{path}/")
        self.files.sort(key=lambda file: file.path)
        return Listing(files=self.files, faults=self.faults, ignored=self.ignored)

    def _folders(self, first: str) -> None:
        """Walk a folder and those below it, without recursion: depth is the disk's to limit."""
        waiting = [first]
        while waiting:
            folder = waiting.pop()
            try:
                waiting += self._folder(folder)
            except OSError as error:
                self._fault(folder, _problem(folder or ".", error))

    def _folder(self, folder: str) -> Iterator[str]:
        """List one folder, and give those in it."""
        below = []
        with os.scandir(f"{self.place.root}/{folder}") as entries:
            self.seen.add(self._identity(folder))
            for entry in entries:
                path = folder + entry.name
                if is_dropping(entry.name):
                    self.ignored.append(path)
                elif entry.is_symlink():
                    self._link(folder, path)
                elif entry.is_dir(follow_symlinks=False):
                    below.append(f"{path}/")
                else:
                    self._file(entry, path)
        return iter(below)

    def _file(self, entry: os.DirEntry[str], path: str) -> None:
        try:
            self.files.append(_found(path, entry.stat(follow_symlinks=False)))
        except OSError as error:  # gone since the folder was opened
            self.files.append(Found(path, problem=_problem(path, error)))

    def _link(self, folder: str, path: str) -> None:
        full = f"{self.place.root}/{path}"
        try:
            status = os.stat(full)
        except OSError as error:
            self.files.append(Found(path, problem=_problem(path, error, linked=True)))
            return
        target = os.path.realpath(full)
        is_folder = stat.S_ISDIR(status.st_mode)
        if is_folder and _inside(os.path.realpath(f"{self.place.root}/{folder}"), target):
            self._fault(f"{path}/", ("link_loop", f"{path}: a link to a folder that it lies in"))
        elif not self.place.follow_links and not _inside(target, self.real):
            problem = ("link_outside", _OUTSIDE.format(path))
            if is_folder:
                self._fault(f"{path}/", problem)
            else:
                self.files.append(Found(path, problem=problem))
        elif is_folder:
            self.links.append(path)
        else:
            self.files.append(_found(path, status))

    def _identity(self, folder: str) -> tuple[int, int] | None:
        try:
            status = os.stat(f"{self.place.root}/{folder}")
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _fault(self, path: str, problem: tuple[str, str]) -> None:
        self.faults.append(Fault(f"{self.name}/{key_text(path)}", problem[0], problem[1], quoted(path)))
