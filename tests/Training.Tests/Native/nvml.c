// NVIDIA's management library with one device, of 80 bytes: as nvml.h declares what src/Training/Native/Nvml.cs calls.
#include <string.h>

typedef struct { unsigned long long total, free, used; } Memory;

static int started, device;

int nvmlInit_v2(void) { started = 1; return 0; }

int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **found)
{
    if (!started) return 1;                          // NVML_ERROR_UNINITIALIZED
    if (strcmp(bus, "0000:17:00.0") != 0) return 6;  // NVML_ERROR_NOT_FOUND
    *found = &device;
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *of, Memory *memory)
{
    if (of != &device) return 2;                     // NVML_ERROR_INVALID_ARGUMENT
    *memory = (Memory){ 80, 70, 10 };
    return 0;
}
