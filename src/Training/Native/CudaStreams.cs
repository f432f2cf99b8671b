using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>Streams and events of one CUDA device, by NVIDIA's runtime and libtorch's own word on the current stream.</summary>
internal sealed unsafe class CudaStreams : IDeviceStreams
{
    private const uint NonBlocking = 1, DisableTiming = 2; // cudaStreamNonBlocking: the default stream does not hold it up
    private const int NotReady = 600;
    private const int BusIdBytes = 32;

    private readonly int _device;
    private readonly delegate* unmanaged<int, int> _setDevice;
    private readonly delegate* unmanaged<int*, int*, int> _priorityRange;
    private readonly delegate* unmanaged<byte*, int, int, int> _busId;
    private readonly delegate* unmanaged<nint*, uint, int, int> _createStream;
    private readonly delegate* unmanaged<nint, int> _destroyStream, _queryStream, _destroyEvent, _queryEvent;
    private readonly delegate* unmanaged<nint*, uint, int> _createEvent;
    private readonly delegate* unmanaged<nint, nint, int> _record;
    private readonly delegate* unmanaged<nint, nint, uint, int> _wait;
    private readonly delegate* unmanaged<int, byte*> _errorString;
    private readonly delegate* unmanaged<int, nint*, int> _currentStream;

    /// <param name="library">What exports the CUDA runtime and libtorch's C interface.</param>
    /// <param name="device">The device's number in this process.</param>
    /// <exception cref="LibTorchException">A function is missing.</exception>
    public CudaStreams(nint library, int device)
    {
        _device = device;
        nint Export(string name) => NativeLibrary.TryGetExport(library, name, out var function)
            ? function
            : throw new LibTorchException($"{name} was not found in libtorch_cuda nor in the CUDA runtime beside it; use libtorch 2.10 or a newer PyTorch.");
        _setDevice = (delegate* unmanaged<int, int>)Export("cudaSetDevice");
        _priorityRange = (delegate* unmanaged<int*, int*, int>)Export("cudaDeviceGetStreamPriorityRange");
        _busId = (delegate* unmanaged<byte*, int, int, int>)Export("cudaDeviceGetPCIBusId");
        _createStream = (delegate* unmanaged<nint*, uint, int, int>)Export("cudaStreamCreateWithPriority");
        _destroyStream = (delegate* unmanaged<nint, int>)Export("cudaStreamDestroy");
        _queryStream = (delegate* unmanaged<nint, int>)Export("cudaStreamQuery");
        _createEvent = (delegate* unmanaged<nint*, uint, int>)Export("cudaEventCreateWithFlags");
        _destroyEvent = (delegate* unmanaged<nint, int>)Export("cudaEventDestroy");
        _queryEvent = (delegate* unmanaged<nint, int>)Export("cudaEventQuery");
        _record = (delegate* unmanaged<nint, nint, int>)Export("cudaEventRecord");
        _wait = (delegate* unmanaged<nint, nint, uint, int>)Export("cudaStreamWaitEvent");
        _errorString = (delegate* unmanaged<int, byte*>)Export("cudaGetErrorString");
        _currentStream = (delegate* unmanaged<int, nint*, int>)Export("aoti_torch_get_current_cuda_stream");
    }

    /// <summary>Of the libtorch in use: it was loaded globally, and with it the CUDA runtime it needs.</summary>
    public static CudaStreams Of(int device)
    {
        LibTorch.Load();
        return new(NativeLibrary.GetMainProgramHandle(), device);
    }

    public string Identity
    {
        get
        {
            var text = stackalloc byte[BusIdBytes];
            Check(_busId(text, BusIdBytes, _device), "cudaDeviceGetPCIBusId");
            return Marshal.PtrToStringUTF8((nint)text)!;
        }
    }

    public void Use() => Check(_setDevice(_device), "cudaSetDevice");

    public nint Current()
    {
        nint stream;
        return _currentStream(_device, &stream) == 0
            ? stream
            : throw new StreamException($"libtorch names no current stream of CUDA device {_device}; its reason is on stderr");
    }

    public nint CreateStream()
    {
        int least, greatest;
        Check(_priorityRange(&least, &greatest), "cudaDeviceGetStreamPriorityRange");
        nint stream;
        Check(_createStream(&stream, NonBlocking, greatest), "cudaStreamCreateWithPriority");
        return stream;
    }

    public void DestroyStream(nint stream) => _destroyStream(stream);

    public nint CreateEvent()
    {
        nint happening;
        Check(_createEvent(&happening, DisableTiming), "cudaEventCreateWithFlags");
        return happening;
    }

    public void DestroyEvent(nint happening) => _destroyEvent(happening);

    public void Record(nint happening, nint stream) => Check(_record(happening, stream), "cudaEventRecord");

    public void Wait(nint stream, nint happening) => Check(_wait(stream, happening, 0), "cudaStreamWaitEvent");

    public bool IsPassed(nint happening) => IsDone(_queryEvent(happening), "cudaEventQuery");

    public bool IsIdle(nint stream) => IsDone(_queryStream(stream), "cudaStreamQuery");

    private bool IsDone(int code, string call)
    {
        if (code == NotReady) return false;
        Check(code, call);
        return true;
    }

    private void Check(int code, string call)
    {
        if (code == 0) return;
        var words = Marshal.PtrToStringUTF8((nint)_errorString(code));
        throw new StreamException($"{call} of CUDA device {_device} failed with {code}, {words}; check the device with nvidia-smi");
    }
}
