/* Notes what a program does to the files below LOSSY_DISK, and what of it was synced, in the file LOSSY_JOURNAL.
 *
 * Loaded by LD_PRELOAD. A note is written when the call has returned: what a killed program had not noted counts as
 * unsynced, as it may. A sync is noted with the journal's length at its begin, for it covers nothing that came after.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int journal = -1;
static const char *disk = "\n";

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("LOSSY_JOURNAL");
    if (path == NULL) return;
    disk = getenv("LOSSY_DISK");
    journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (disk == NULL || journal < 0) abort();
}

static int below(const char *path) {
    size_t length = strlen(disk);
    return strncmp(path, disk, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static const char *path_of(int fd, char *path) { /* NULL where it is none of the disk's */
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    return journal >= 0 && below(path) ? path : NULL;
}

static void note(char what, const char *path, int64_t at, const void *data, size_t size) {
    struct { uint32_t what, path; int64_t at; uint64_t size; } head = {(uint32_t)what, strlen(path), at, size};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)data, size}};
    if (syscall(SYS_writev, journal, parts, 3) != (long)(sizeof head + head.path + size)) abort();
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int tracked = journal >= 0 && below(path);
    int fresh = tracked && (flags & O_CREAT) && syscall(SYS_faccessat, folder, path, F_OK) != 0;
    int fd = syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && fresh) note('c', path, 0, NULL, 0);
    if (fd >= 0 && tracked && (flags & O_TRUNC)) note('t', path, 0, NULL, 0);
    return fd;
}

#define MODE(last) mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; va_start(rest, last); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }

static ssize_t written(int fd, const void *data, ssize_t size, off_t at) {
    char path[PATH_MAX];
    if (size > 0 && path_of(fd, path)) note('w', path, at >= 0 ? at : lseek(fd, 0, SEEK_CUR) - size, data, size);
    return size;
}

ssize_t write(int fd, const void *data, size_t size) {
    return written(fd, data, syscall(SYS_write, fd, data, size), -1);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return written(fd, data, syscall(SYS_pwrite64, fd, data, size, at), at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return pwrite(fd, data, size, at); }

int ftruncate(int fd, off_t size) {
    char path[PATH_MAX];
    int failed = syscall(SYS_ftruncate, fd, size);
    if (!failed && path_of(fd, path)) note('t', path, size, NULL, 0);
    return failed;
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

static int synced(long call, int fd) {
    char path[PATH_MAX];
    off_t until = journal >= 0 ? lseek(journal, 0, SEEK_END) : 0;
    int failed = syscall(call, fd);
    if (!failed && path_of(fd, path)) note('s', path, until, NULL, 0);
    return failed;
}
int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }

int rename(const char *from, const char *to) {
    int failed = syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    if (!failed && journal >= 0 && below(to)) note('r', from, 0, to, strlen(to));
    return failed;
}
int unlink(const char *path) {
    int failed = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!failed && journal >= 0 && below(path)) note('u', path, 0, NULL, 0);
    return failed;
}
int mkdir(const char *path, mode_t mode) {
    int failed = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (!failed && journal >= 0 && below(path)) note('m', path, 0, NULL, 0);
    return failed;
}
