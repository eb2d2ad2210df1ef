/* Gives one program a wrong clock that can be set: loaded before its C library (LD_PRELOAD). BOARD_CLOCK is what the clock
 * says at the start, in unix time. libfaketime has no clock_settime, and a time namespace leaves CLOCK_REALTIME alone. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long offset_s;

static long long real_s(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec;
}

__attribute__((constructor)) static void begin(void)
{
    const char *start = getenv("BOARD_CLOCK");
    offset_s = start ? atoll(start) - real_s() : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset_s;
    return result;
}

int clock_settime(clockid_t clock, const struct timespec *wanted)
{
    if (clock != CLOCK_REALTIME)
        return (int)syscall(SYS_clock_settime, clock, wanted);
    offset_s = wanted->tv_sec - real_s();
    return 0;
}

time_t time(time_t *place)
{
    time_t now = real_s() + offset_s;
    if (place)
        *place = now;
    return now;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = (int)syscall(SYS_gettimeofday, now, zone);
    if (result == 0 && now)
        now->tv_sec += offset_s;
    return result;
}
