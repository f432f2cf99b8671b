using System.Runtime.InteropServices;
using System.Text;
using Phi3VCluster.Training.Native.Kernels;

namespace Phi3VCluster.Training.Native;

/// <summary>Machine code loaded into a device's context, the one that libtorch uses. Lives as long as the process.</summary>
internal sealed unsafe class CudaModule : IKernelModule
{
    private static readonly Lazy<nint> Driver = new(() => NativeLibrary.Load("libcuda.so.1"));

    private readonly nint _module;
    private readonly Dictionary<string, nint> _functions = [];
    private readonly delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int> _launch;
    private readonly delegate* unmanaged<int, nint*, int> _currentStream;
    private readonly int _device;

    /// <summary>On a thread whose current device is this one, after the first tensor there.</summary>
    public CudaModule(int device, byte[] code)
    {
        _device = device;
        int ordinal;
        nint context;
        Check(((delegate* unmanaged<int*, int, int>)Export("cuDeviceGet"))(&ordinal, device), "cuDeviceGet");
        Check(((delegate* unmanaged<nint*, int, int>)Export("cuDevicePrimaryCtxRetain"))(&context, ordinal), "cuDevicePrimaryCtxRetain");
        Check(((delegate* unmanaged<nint, int>)Export("cuCtxSetCurrent"))(context), "cuCtxSetCurrent");
        fixed (byte* start = code)
        fixed (nint* module = &_module)
            Check(((delegate* unmanaged<nint*, byte*, int>)Export("cuModuleLoadData"))(module, start), "cuModuleLoadData");
        _launch = (delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int>)Export("cuLaunchKernel");
        _currentStream = (delegate* unmanaged<int, nint*, int>)NativeLibrary.GetExport(
            NativeLibrary.GetMainProgramHandle(), "aoti_torch_get_current_cuda_stream");
    }

    /// <summary>Launches on libtorch's current stream and returns at once.</summary>
    public void Launch(string kernel, long blocks, int threads, params ReadOnlySpan<ulong> arguments)
    {
        if (blocks == 0) return;
        if (!_functions.TryGetValue(kernel, out var function)) _functions.Add(kernel, function = Function(kernel));
        nint stream;
        _currentStream(_device, &stream);
        var slots = stackalloc void*[arguments.Length];
        fixed (ulong* values = arguments)
        {
            for (var i = 0; i < arguments.Length; i++) slots[i] = values + i;
            Check(_launch(function, (uint)blocks, 1, 1, (uint)threads, 1, 1, 0, stream, slots, null), kernel);
        }
    }

    private nint Function(string kernel)
    {
        nint function;
        var name = Encoding.UTF8.GetBytes(kernel + '\0');
        fixed (byte* text = name)
            Check(((delegate* unmanaged<nint*, nint, byte*, int>)Export("cuModuleGetFunction"))(&function, _module, text), kernel);
        return function;
    }

    private static nint Export(string function) => NativeLibrary.GetExport(Driver.Value, function);

    private static void Check(int code, string call)
    {
        if (code == 0) return;
        nint words = 0;
        ((delegate* unmanaged<int, nint*, int>)Export("cuGetErrorString"))(code, &words);
        throw new CudaException($"{call} failed with {code}, {Marshal.PtrToStringUTF8(words)}; check the device with nvidia-smi.");
    }
}
