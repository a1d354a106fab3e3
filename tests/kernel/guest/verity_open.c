/*
 * Opens dm-verity devices in the test guest through the kernel's own interface: no libdevmapper, no udev.
 *
 *   verity_open open NAME DEVICE DATA_BLOCKS HASH_START ROOT SALT SIGNATURE|- [OPTION...]
 *   verity_open status NAME          prints V (verified so far) or C (corruption was seen)
 *   verity_open remove NAME
 *
 * Blocks are 512 bytes, the hash is sha256. "open" prints "dm-N" and exits with 0, or prints the step that failed
 * and exits with its errno. The signature goes into the thread keyring, where the table load looks it up.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/dm-ioctl.h>

enum { BUFFER = 16384, SIGNATURE_MAX = 65536, THREAD_KEYRING = -1 };

static union {
    struct dm_ioctl header;
    char bytes[BUFFER];
} request;

static int control;

static int failed(const char *step)
{
    int error = errno;
    printf("%s: %s\n", step, strerror(error));
    return error ? error : EIO;
}

static int call(unsigned long command, const char *name, unsigned int flags)
{
    struct dm_ioctl *header = &request.header;
    header->version[0] = 4;
    header->data_size = sizeof request;
    header->data_start = sizeof *header;
    header->flags = flags;
    snprintf(header->name, sizeof header->name, "%s", name);
    return ioctl(control, command, header);
}

static int command(unsigned long number, const char *name, unsigned int flags)
{
    memset(&request, 0, sizeof request);
    return call(number, name, flags);
}

static int add_signature(const char *file, const char *description)
{
    static char signature[SIGNATURE_MAX];
    int input = open(file, O_RDONLY);
    if (input < 0)
        return -1;
    ssize_t size = read(input, signature, sizeof signature);
    close(input);
    if (size < 0)
        return -1;
    return syscall(SYS_add_key, "user", description, signature, (size_t)size, THREAD_KEYRING) < 0 ? -1 : 0;
}

static int load(const char *name, const char *blocks, const char *parameters)
{
    memset(&request, 0, sizeof request);
    struct dm_target_spec *target = (void *)(request.bytes + sizeof request.header);
    target->length = strtoull(blocks, NULL, 10);
    target->next = (sizeof *target + strlen(parameters) + 8) & ~7u;
    strcpy(target->target_type, "verity");
    strcpy((char *)(target + 1), parameters);
    request.header.target_count = 1;
    return call(DM_TABLE_LOAD, name, DM_READONLY_FLAG);
}

static int open_device(int count, char **words)
{
    const char *name = words[0], *device = words[1], *blocks = words[2], *start = words[3];
    const char *root = words[4], *salt = words[5], *signature = words[6];
    char parameters[2048], options[512] = "", description[80];
    int number = count - 7;
    for (int i = 7; i < count; i++) {
        strncat(options, " ", sizeof options - strlen(options) - 1);
        strncat(options, words[i], sizeof options - strlen(options) - 1);
    }
    if (strcmp(signature, "-") != 0) {
        snprintf(description, sizeof description, "verity:%s", name);
        if (add_signature(signature, description))
            return failed("signature");
        number += 2;
        size_t used = strlen(options);
        snprintf(options + used, sizeof options - used, " root_hash_sig_key_desc %s", description);
    }
    int used = snprintf(parameters, sizeof parameters, "1 %s %s 512 512 %s %s sha256 %s %s", device, device, blocks,
                        start, root, salt);
    if (number)
        snprintf(parameters + used, sizeof parameters - used, " %d%s", number, options);
    if (command(DM_DEV_CREATE, name, DM_READONLY_FLAG))
        return failed("create");
    int error = 0;
    if (load(name, blocks, parameters))
        error = failed("load");
    else if (command(DM_DEV_SUSPEND, name, DM_READONLY_FLAG))
        error = failed("resume");
    if (error) {
        command(DM_DEV_REMOVE, name, 0);
        return error;
    }
    printf("dm-%u\n", (unsigned int)(request.header.dev & 0xff));
    return 0;
}

static int status(const char *name)
{
    if (command(DM_TABLE_STATUS, name, 0))
        return failed("status");
    struct dm_target_spec *target = (void *)(request.bytes + request.header.data_start);
    printf("%s\n", (char *)(target + 1));
    return 0;
}

int main(int count, char **words)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    control = open("/dev/mapper/control", O_RDWR);
    if (control < 0)
        return failed("control");
    if (count >= 9 && !strcmp(words[1], "open"))
        return open_device(count - 2, words + 2);
    if (count == 3 && !strcmp(words[1], "status"))
        return status(words[2]);
    if (count == 3 && !strcmp(words[1], "remove"))
        return command(DM_DEV_REMOVE, words[2], 0) ? failed("remove") : 0;
    fprintf(stderr, "usage: verity_open open|status|remove NAME ...\n");
    return 99;
}
