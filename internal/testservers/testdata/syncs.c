// Notes in the file SYNCED how much of an append-only file is on the disk: its
// size before the last fdatasync that succeeded, and its path.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void note(long long size, const char *path) {
	char line[4200];
	int n = snprintf(line, sizeof line, "%020lld %s\n", size, path);
	int fd = open(getenv("SYNCED"), O_CREAT | O_WRONLY, 0644);
	if (fd < 0) abort();
	if (pwrite(fd, line, n, 0) != n) abort();
	close(fd);
}

int fdatasync(int fd) {
	static int (*real)(int);
	char link[64], path[4096];
	struct stat s;
	if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	int log = n > 0 && fstat(fd, &s) == 0;
	if (log) path[n] = 0;
	int result = real(fd);
	if (log && result == 0 && strstr(path, ".incr.aof")) note(s.st_size, path);
	return result;
}
