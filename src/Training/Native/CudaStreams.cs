using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// The order of one CUDA device's work, by NVIDIA's runtime and libtorch's own word on the current stream: streams run beside each other,
/// each in its own order; events order one stream after another. Both are handles; 0 is the default stream.
/// </summary>
internal sealed unsafe class CudaStreams
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
            : throw new LibTorchException($"{name} was not found in libtorch_cuda nor in the CUDA runtime beside it; "
                + "use libtorch 2.10 or a newer PyTorch.");
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

    /// <summary>What tells this device from every other of its machine, under whatever number processes see it.</summary>
    public string Identity
    {
        get
        {
            var text = stackalloc byte[BusIdBytes];
            Check(_busId(text, BusIdBytes, _device), "cudaDeviceGetPCIBusId");
            return Marshal.PtrToStringUTF8((nint)text)!;
        }
    }

    /// <summary>Makes the device the calling thread's. First call of every thread that uses the device.</summary>
    public void Use() => Check(_setDevice(_device), "cudaSetDevice");

    /// <summary>The stream on which libtorch puts the calling thread's work.</summary>
    public nint Current()
    {
        nint stream;
        return _currentStream(_device, &stream) == 0
            ? stream
            : throw new StreamException($"libtorch names no current stream of CUDA device {_device}; its reason is on stderr");
    }

    /// <summary>A stream that waits for nothing it is not told to wait for, served before the others.</summary>
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

    /// <summary>The event is what has been put on the stream until now; from then on it can be waited for.</summary>
    public void Record(nint happening, nint stream) => Check(_record(happening, stream), "cudaEventRecord");

    /// <summary>What is put on the stream from now on starts after the event. Does not block the caller.</summary>
    public void Wait(nint stream, nint happening) => Check(_wait(stream, happening, 0), "cudaStreamWaitEvent");

    /// <summary>Whether all that was recorded is done.</summary>
    public bool IsPassed(nint happening) => IsDone(_queryEvent(happening), "cudaEventQuery");

    /// <summary>Whether all that was put on the stream is done.</summary>
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
