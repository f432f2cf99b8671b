using System.Runtime.InteropServices;
using System.Text;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// NVIDIA's management library, which comes with the driver. It tells of a device's memory without a context on it, which would hold some
/// for as long as the process lives. Thread-safe.
/// </summary>
internal sealed unsafe class Nvml
{
    private const string FileName = "libnvidia-ml.so.1";
    private const int Success = 0;

    private static readonly Lazy<Nvml?> Found = new(Find);

    private readonly delegate* unmanaged<byte*, nint*, int> _deviceByBusId;
    private readonly delegate* unmanaged<nint, MemoryInfo*, int> _memory;

    [StructLayout(LayoutKind.Sequential)]
    private struct MemoryInfo // nvmlMemory_t
    {
        public ulong Total, Free, Used;
    }

    /// <param name="library">A loaded libnvidia-ml, or whatever exports its functions.</param>
    /// <exception cref="LibTorchException">A function is missing, or it does not start.</exception>
    public Nvml(nint library)
    {
        nint Export(string name) => NativeLibrary.TryGetExport(library, name, out var function)
            ? function
            : throw new LibTorchException($"{FileName}: lacks {name}; use a newer driver.");
        _deviceByBusId = (delegate* unmanaged<byte*, nint*, int>)Export("nvmlDeviceGetHandleByPciBusId_v2");
        _memory = (delegate* unmanaged<nint, MemoryInfo*, int>)Export("nvmlDeviceGetMemoryInfo");
        if (((delegate* unmanaged<int>)Export("nvmlInit_v2"))() != Success)
            throw new LibTorchException($"{FileName}: does not start; check the driver with nvidia-smi.");
    }

    /// <summary>The process' own; null where there is none that works.</summary>
    public static Nvml? Load() => Found.Value;

    /// <summary>Bytes of a device that no process holds, and all it has.</summary>
    /// <param name="busId">See <see cref="Cuda.BusId"/>.</param>
    /// <returns>Null where the driver does not tell.</returns>
    public (long Free, long Total)? Memory(string busId)
    {
        nint device;
        MemoryInfo info;
        fixed (byte* text = Encoding.ASCII.GetBytes(busId + '\0'))
            return _deviceByBusId(text, &device) == Success && _memory(device, &info) == Success
                ? ((long)info.Free, (long)info.Total)
                : null;
    }

    private static Nvml? Find()
    {
        try
        {
            return NativeLibrary.TryLoad(FileName, out var library) ? new(library) : null;
        }
        catch (LibTorchException)
        {
            return null;
        }
    }
}
