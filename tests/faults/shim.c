/* Counts what processes do to the files below one folder, and lets one of those events fail.
 *
 * Preloaded into a daemon (LD_PRELOAD), it is in its workers and programs too. Told by:
 *
 *   FAULTS_BELOW  the folder; what happens elsewhere is not counted
 *   FAULTS_BOARD  a file that all processes share: how many events there were, and whether the fault struck
 *   FAULTS_AT     the number of the event that is struck, from 1; 0: none
 *   FAULTS_DO     kill (the process), eio, enospc (once), full (ENOSPC from then on), short (half is
 *                 written)
 *   FAULTS_LOG    where each event is listed: number, process, what, path, bytes
 *
 * An event is a call that changes what the disk holds: open for writing, write, sync, truncate, rename,
 * link, unlink, mkdir, rmdir, copy. An event that fails is not done. Calls that a C library makes inside
 * itself (stdio, mkstemp) and pages that are mapped (the ledger's -shm) are not seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct board {
    _Atomic long events;
    _Atomic long struck; /* the number of the event at which the fault struck; 0: not yet */
};

enum deed { NOTHING, KILL, EIO_ONCE, ENOSPC_ONCE, FULL, SHORT };
enum verdict { DO_IT, REFUSE, HALF };

static struct board *board;
static const char *below;
static long at;
static enum deed deed;
static int list = -1;

static enum deed deed_named(const char *name)
{
    static const char *const names[] = {"", "kill", "eio", "enospc", "full", "short"};
    for (int i = 1; name && i < 6; i++)
        if (!strcmp(name, names[i]))
            return (enum deed)i;
    return NOTHING;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTS_BOARD"), *number = getenv("FAULTS_AT"), *log = getenv("FAULTS_LOG");
    below = getenv("FAULTS_BELOW");
    if (!path || !below)
        return;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (file < 0)
        return;
    void *memory = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (memory == MAP_FAILED)
        return;
    at = number ? atol(number) : 0;
    deed = deed_named(getenv("FAULTS_DO"));
    if (log)
        list = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    board = memory;
}

static int is_below(const char *path)
{
    size_t length = strlen(below);
    return !strncmp(path, below, length) && (path[length] == '/' || !path[length]);
}

/* The whole path of a descriptor's file, or of *name* in the folder *folder*. */
static int path_of(int folder, const char *name, char *path)
{
    char link[64];
    if (name && name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return 1;
    }
    if (folder == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (name && *name)
        snprintf(path + length, (size_t)(PATH_MAX - length), "/%s", name);
    return 1;
}

/* Count an event of *name* in *folder*, and say what becomes of it. */
static enum verdict event(const char *what, int folder, const char *name, size_t bytes)
{
    char path[PATH_MAX], line[PATH_MAX + 128];
    int before = errno;
    if (!board || !path_of(folder, name, path) || !is_below(path)) {
        errno = before;
        return DO_IT;
    }
    long number = ++board->events;
    if (list >= 0) {
        int length = snprintf(line, sizeof line, "%ld\t%d\t%s\t%s\t%zu\n", number, getpid(), what, path, bytes);
        syscall(SYS_write, list, line, length);
    }
    errno = before;
    if (!at || number < at || (number > at && deed != FULL))
        return DO_IT;
    if (number == at)
        board->struck = number;
    switch (deed) {
    case KILL:
        syscall(SYS_kill, getpid(), SIGKILL);
        return DO_IT;
    case EIO_ONCE:
        errno = EIO;
        return REFUSE;
    case FULL: /* a full disk refuses what needs room; names go away as before */
        if (number > at && (!strcmp(what, "unlink") || !strcmp(what, "rmdir") || !strcmp(what, "sync")))
            return DO_IT;
        errno = ENOSPC;
        return REFUSE;
    case ENOSPC_ONCE:
        errno = ENOSPC;
        return REFUSE;
    case SHORT:
        return bytes > 1 ? HALF : DO_IT;
    default:
        return DO_IT;
    }
}

#define THE_REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define HALVED(verdict, count) ((verdict) == HALF ? (count) / 2 : (count))

#define WRITES(name, offset_type) \
    ssize_t name(int file, const void *bytes, size_t count, offset_type offset) \
    { \
        THE_REAL(name); \
        enum verdict v = event("write", file, NULL, count); \
        return v == REFUSE ? -1 : real(file, bytes, HALVED(v, count), offset); \
    }

WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)

ssize_t write(int file, const void *bytes, size_t count)
{
    THE_REAL(write);
    enum verdict v = event("write", file, NULL, count);
    return v == REFUSE ? -1 : real(file, bytes, HALVED(v, count));
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    THE_REAL(writev);
    enum verdict v = event("write", file, NULL, (size_t)count);
    return v == REFUSE ? -1 : real(file, parts, HALVED(v, count));
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset)
{
    THE_REAL(pwritev);
    enum verdict v = event("write", file, NULL, (size_t)count);
    return v == REFUSE ? -1 : real(file, parts, HALVED(v, count), offset);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t count)
{
    THE_REAL(sendfile);
    enum verdict v = event("copy", to, NULL, count);
    return v == REFUSE ? -1 : real(to, from, offset, HALVED(v, count));
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t count)
{
    THE_REAL(sendfile64);
    enum verdict v = event("copy", to, NULL, count);
    return v == REFUSE ? -1 : real(to, from, offset, HALVED(v, count));
}

ssize_t copy_file_range(int from, off64_t *here, int to, off64_t *there, size_t count, unsigned flags)
{
    THE_REAL(copy_file_range);
    enum verdict v = event("copy", to, NULL, count);
    return v == REFUSE ? -1 : real(from, here, to, there, HALVED(v, count), flags);
}

#define OF_FILE(name, what) \
    int name(int file) \
    { \
        THE_REAL(name); \
        return event(what, file, NULL, 0) == REFUSE ? -1 : real(file); \
    }

OF_FILE(fsync, "sync")
OF_FILE(fdatasync, "sync")

#define CUTS(name, size_type) \
    int name(int file, size_type size) \
    { \
        THE_REAL(name); \
        return event("truncate", file, NULL, 0) == REFUSE ? -1 : real(file, size); \
    }

CUTS(ftruncate, off_t)
CUTS(ftruncate64, off64_t)

int posix_fallocate(int file, off_t offset, off_t size)
{
    THE_REAL(posix_fallocate);
    return event("truncate", file, NULL, 0) == REFUSE ? errno : real(file, offset, size);
}

int posix_fallocate64(int file, off64_t offset, off64_t size)
{
    THE_REAL(posix_fallocate64);
    return event("truncate", file, NULL, 0) == REFUSE ? errno : real(file, offset, size);
}

int fallocate64(int file, int mode, off64_t offset, off64_t size)
{
    THE_REAL(fallocate64);
    return event("truncate", file, NULL, 0) == REFUSE ? -1 : real(file, mode, offset, size);
}

int rename(const char *old, const char *new)
{
    THE_REAL(rename);
    return event("rename", AT_FDCWD, new, 0) == REFUSE ? -1 : real(old, new);
}

int renameat(int from, const char *old, int to, const char *new)
{
    THE_REAL(renameat);
    return event("rename", to, new, 0) == REFUSE ? -1 : real(from, old, to, new);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    THE_REAL(renameat2);
    return event("rename", to, new, 0) == REFUSE ? -1 : real(from, old, to, new, flags);
}

int link(const char *old, const char *new)
{
    THE_REAL(link);
    return event("link", AT_FDCWD, new, 0) == REFUSE ? -1 : real(old, new);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    THE_REAL(linkat);
    return event("link", to, new, 0) == REFUSE ? -1 : real(from, old, to, new, flags);
}

int symlinkat(const char *target, int to, const char *new)
{
    THE_REAL(symlinkat);
    return event("link", to, new, 0) == REFUSE ? -1 : real(target, to, new);
}

#define OF_PATH(name, what) \
    int name(const char *path) \
    { \
        THE_REAL(name); \
        return event(what, AT_FDCWD, path, 0) == REFUSE ? -1 : real(path); \
    }

OF_PATH(unlink, "unlink")
OF_PATH(rmdir, "rmdir")

int unlinkat(int folder, const char *path, int flags)
{
    THE_REAL(unlinkat);
    return event(flags & AT_REMOVEDIR ? "rmdir" : "unlink", folder, path, 0) == REFUSE
               ? -1
               : real(folder, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    THE_REAL(mkdir);
    return event("mkdir", AT_FDCWD, path, 0) == REFUSE ? -1 : real(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    THE_REAL(mkdirat);
    return event("mkdir", folder, path, 0) == REFUSE ? -1 : real(folder, path, mode);
}

/* To open for writing is an event where it makes or empties a file. */
#define CHANGES(flags) ((flags) & (O_CREAT | O_TRUNC))

#define OPENS(name) \
    int name(const char *path, int flags, ...) \
    { \
        THE_REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        return CHANGES(flags) && event("open", AT_FDCWD, path, 0) == REFUSE ? -1 : real(path, flags, mode); \
    }

OPENS(open)
OPENS(open64)

#define OPENS_AT(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        THE_REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        return CHANGES(flags) && event("open", folder, path, 0) == REFUSE \
                   ? -1 \
                   : real(folder, path, flags, mode); \
    }

OPENS_AT(openat)
OPENS_AT(openat64)

/* vampd calls openat2 by its number; its third argument begins with the flags. */
long syscall(long number, ...)
{
    THE_REAL(syscall);
    va_list more;
    va_start(more, number);
    long a[6];
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(more, long);
    va_end(more);
    if (board && number == SYS_openat2 && CHANGES(*(const unsigned long long *)a[2])
        && event("open", (int)a[0], (const char *)a[1], 0) == REFUSE)
        return -1;
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
