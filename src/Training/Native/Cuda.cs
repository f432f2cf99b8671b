using System.Runtime.InteropServices;
using System.Text;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>What libtorch does not tell of CUDA devices, asked of NVIDIA's runtime that came with it.</summary>
public static unsafe class Cuda
{
    // cudaDevAttrMultiProcessorCount, cudaDevAttrComputeCapabilityMajor and …Minor.
    private const int ProcessorsAttribute = 16, MajorAttribute = 75, MinorAttribute = 76;
    private const int PropertiesBytes = 8192;                   // cudaDeviceProp has grown from 700 to 1000 bytes over the years

    private static readonly Lazy<nint> Runtime = new(FindRuntime);

    /// <summary>Devices that libtorch can use; 0 without loading anything where libtorch came without CUDA.</summary>
    public static int DeviceCount => LibTorch.HasCuda && LibTorch.Load() is not null && cuda.is_available() ? cuda.device_count() : 0;

    /// <summary>E.g. "NVIDIA H100".</summary>
    public static string Name(int device)
    {
        var properties = stackalloc byte[PropertiesBytes];
        var get = NativeLibrary.TryGetExport(Runtime.Value, "cudaGetDeviceProperties_v2", out var newer)
            ? newer
            : NativeLibrary.GetExport(Runtime.Value, "cudaGetDeviceProperties");
        if (((delegate* unmanaged<byte*, int, int>)get)(properties, device) != 0) return "device";
        return Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(properties)); // the name comes first
    }

    /// <summary>By which the driver knows the device, e.g. 0000:17:00.0: its own numbers are others where a process sees not all.</summary>
    public static string BusId(int device)
    {
        const int bytes = 32;
        var text = stackalloc byte[bytes];
        var get = (delegate* unmanaged<byte*, int, int, int>)NativeLibrary.GetExport(Runtime.Value, "cudaDeviceGetPCIBusId");
        if (get(text, bytes, device) != 0) throw Silent(device);
        return Encoding.ASCII.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
    }

    /// <summary>E.g. (8, 0) for an A100.</summary>
    public static (int Major, int Minor) Capability(int device) => (Attribute(MajorAttribute, device), Attribute(MinorAttribute, device));

    /// <summary>Streaming multiprocessors.</summary>
    public static int ProcessorCount(int device) => Attribute(ProcessorsAttribute, device);

    /// <summary>Bytes of a device that nobody holds, and all it has. For the thread's current device, which becomes this one.</summary>
    public static (long Free, long Total) Memory(int device)
    {
        Use(device);
        nuint free, total;
        var ask = (delegate* unmanaged<nuint*, nuint*, int>)NativeLibrary.GetExport(Runtime.Value, "cudaMemGetInfo");
        return ask(&free, &total) == 0 ? ((long)free, (long)total) : throw Silent(device);
    }

    /// <summary>Makes the device the calling thread's: the first thing a thread does that works on it.</summary>
    public static void Use(int device)
    {
        if (((delegate* unmanaged<int, int>)NativeLibrary.GetExport(Runtime.Value, "cudaSetDevice"))(device) != 0) throw Silent(device);
    }

    private static LibTorchException Silent(int device) => new($"CUDA device {device} did not answer; check the driver with nvidia-smi.");

    private static int Attribute(int attribute, int device)
    {
        int value;
        var get = (delegate* unmanaged<int*, int, int, int>)NativeLibrary.GetExport(Runtime.Value, "cudaDeviceGetAttribute");
        return get(&value, attribute, device) == 0
            ? value
            : throw Silent(device);
    }

    private static nint FindRuntime()
    {
        LibTorch.Load(); // libtorch_cuda has loaded its own runtime: the linker finds it by name
        foreach (var name in (string[])["libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0"])
            if (NativeLibrary.TryLoad(name, out var handle)) return handle;
        throw new LibTorchException("libcudart was not found beside libtorch_cuda; "
            + "install the CUDA runtime that this libtorch was built for.");
    }
}
