using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>NVIDIA's NCCL as functions; decides nothing. Which thread may call what is <c>NcclCommunicator</c>'s business.</summary>
internal sealed unsafe class NcclLibrary
{
    /// <summary>File or folder of a libnccl.so.2 to use instead of the one that came with libtorch.</summary>
    public const string PathVariable = "PHI3V_NCCL";

    private const string FileName = "libnccl.so.2";
    private const int Sum = 0; // ncclSum

    private static readonly Lazy<(NcclLibrary? Library, string Reason)> Found = new(Find);

    private readonly delegate* unmanaged<int*, NcclResult> _getVersion;
    private readonly delegate* unmanaged<NcclUniqueId*, NcclResult> _getUniqueId;
    private readonly delegate* unmanaged<nint*, int, NcclUniqueId, int, NcclConfig*, NcclResult> _init;
    private readonly delegate* unmanaged<nint, NcclResult*, NcclResult> _getAsyncError;
    private readonly delegate* unmanaged<nint, NcclResult> _abort, _finalize, _destroy;
    private readonly delegate* unmanaged<NcclResult> _groupStart, _groupEnd;
    private readonly delegate* unmanaged<nint, nint, nuint, NcclType, int, nint, nint, NcclResult> _allReduce, _reduceScatter;
    private readonly delegate* unmanaged<nint, nint, nuint, NcclType, nint, nint, NcclResult> _allGather;
    private readonly delegate* unmanaged<nint, nint, nuint, NcclType, int, nint, nint, NcclResult> _broadcast;
    private readonly delegate* unmanaged<nint, nint, nuint, NcclType, int, int, nint, nint, NcclResult> _reduce;
    private readonly delegate* unmanaged<NcclResult, byte*> _getErrorString;
    private readonly delegate* unmanaged<nint, byte*> _getLastError;

    /// <param name="library">A loaded libnccl, or whatever exports its functions.</param>
    /// <param name="path">Where it came from, for messages.</param>
    /// <exception cref="LibTorchException">A function is missing: NCCL before 2.14, or no NCCL.</exception>
    public NcclLibrary(nint library, string path)
    {
        Path = path;
        nint Export(string name) => NativeLibrary.TryGetExport(library, name, out var function)
            ? function
            : throw new LibTorchException($"{path}: lacks {name}; use NCCL 2.17 or newer.");
        _getVersion = (delegate* unmanaged<int*, NcclResult>)Export("ncclGetVersion");
        _getUniqueId = (delegate* unmanaged<NcclUniqueId*, NcclResult>)Export("ncclGetUniqueId");
        _init = (delegate* unmanaged<nint*, int, NcclUniqueId, int, NcclConfig*, NcclResult>)Export("ncclCommInitRankConfig");
        _getAsyncError = (delegate* unmanaged<nint, NcclResult*, NcclResult>)Export("ncclCommGetAsyncError");
        _abort = (delegate* unmanaged<nint, NcclResult>)Export("ncclCommAbort");
        _finalize = (delegate* unmanaged<nint, NcclResult>)Export("ncclCommFinalize");
        _destroy = (delegate* unmanaged<nint, NcclResult>)Export("ncclCommDestroy");
        _groupStart = (delegate* unmanaged<NcclResult>)Export("ncclGroupStart");
        _groupEnd = (delegate* unmanaged<NcclResult>)Export("ncclGroupEnd");
        _allReduce = (delegate* unmanaged<nint, nint, nuint, NcclType, int, nint, nint, NcclResult>)Export("ncclAllReduce");
        _reduceScatter = (delegate* unmanaged<nint, nint, nuint, NcclType, int, nint, nint, NcclResult>)Export("ncclReduceScatter");
        _allGather = (delegate* unmanaged<nint, nint, nuint, NcclType, nint, nint, NcclResult>)Export("ncclAllGather");
        _broadcast = (delegate* unmanaged<nint, nint, nuint, NcclType, int, nint, nint, NcclResult>)Export("ncclBroadcast");
        _reduce = (delegate* unmanaged<nint, nint, nuint, NcclType, int, int, nint, nint, NcclResult>)Export("ncclReduce");
        _getErrorString = (delegate* unmanaged<NcclResult, byte*>)Export("ncclGetErrorString");
        _getLastError = (delegate* unmanaged<nint, byte*>)Export("ncclGetLastError");
        int version;
        if (_getVersion(&version) != NcclResult.Success) throw new LibTorchException($"{path}: NCCL does not tell its version.");
        Version = version;
    }

    /// <summary>The process' NCCL; null where there is none.</summary>
    /// <param name="reason">Where it came from, or why there is none: half a sentence.</param>
    public static NcclLibrary? Load(out string reason)
    {
        reason = Found.Value.Reason;
        return Found.Value.Library;
    }

    public string Path { get; }

    /// <summary>E.g. 22809 for 2.28.9. All ranks of a communicator must have the same.</summary>
    public int Version { get; }

    public static string Words(int version) => $"{version / 10_000}.{version / 100 % 100}.{version % 100}";

    /// <summary>Starts this process' part in the meeting of the ranks: call it where rank 0 runs, once a communicator.</summary>
    public NcclResult GetUniqueId(out NcclUniqueId id)
    {
        fixed (NcclUniqueId* pointer = &id) return _getUniqueId(pointer);
    }

    /// <summary>
    /// Writes <paramref name="communicator"/> before any work starts; the meeting goes on behind <see cref="NcclResult.InProgress"/>.
    /// </summary>
    public NcclResult Init(out nint communicator, int worldSize, in NcclUniqueId id, int rank)
    {
        var config = NcclConfig.NonBlocking;
        nint made = 0;
        var result = _init(&made, worldSize, id, rank, &config);
        communicator = made;
        return result;
    }

    /// <param name="communicator">Whose.</param>
    /// <param name="state">In progress, or how its last call and its network fare.</param>
    public NcclResult GetAsyncError(nint communicator, out NcclResult state)
    {
        NcclResult now;
        var result = _getAsyncError(communicator, &now);
        state = now;
        return result;
    }

    public NcclResult Abort(nint communicator) => _abort(communicator);

    public NcclResult Finalize(nint communicator) => _finalize(communicator);

    public NcclResult Destroy(nint communicator) => _destroy(communicator);

    public NcclResult GroupStart() => _groupStart();

    public NcclResult GroupEnd() => _groupEnd();

    /// <summary>Counts are elements; sums.</summary>
    public NcclResult AllReduce(nint send, nint receive, long count, NcclType type, nint communicator, nint stream) =>
        _allReduce(send, receive, (nuint)count, type, Sum, communicator, stream);

    /// <param name="send">worldSize · <paramref name="count"/> elements.</param>
    /// <param name="receive">This rank's <paramref name="count"/>; may lie in its place within <paramref name="send"/>.</param>
    /// <param name="count">Elements a rank.</param>
    /// <param name="type">Of the elements.</param>
    /// <param name="communicator">Whose.</param>
    /// <param name="stream">In whose order the work is done.</param>
    public NcclResult ReduceScatter(nint send, nint receive, long count, NcclType type, nint communicator, nint stream) =>
        _reduceScatter(send, receive, (nuint)count, type, Sum, communicator, stream);

    /// <param name="send">This rank's <paramref name="count"/> elements; may lie in their place within <paramref name="receive"/>.</param>
    /// <param name="receive">worldSize · <paramref name="count"/> elements.</param>
    /// <param name="count">Elements a rank.</param>
    /// <param name="type">Of the elements.</param>
    /// <param name="communicator">Whose.</param>
    /// <param name="stream">In whose order the work is done.</param>
    public NcclResult AllGather(nint send, nint receive, long count, NcclType type, nint communicator, nint stream) =>
        _allGather(send, receive, (nuint)count, type, communicator, stream);

    public NcclResult Broadcast(nint send, nint receive, long count, NcclType type, int root, nint communicator, nint stream) =>
        _broadcast(send, receive, (nuint)count, type, root, communicator, stream);

    public NcclResult Reduce(nint send, nint receive, long count, NcclType type, int root, nint communicator, nint stream) =>
        _reduce(send, receive, (nuint)count, type, Sum, root, communicator, stream);

    /// <summary>NCCL's words for a result, with the newest error of the process where it has one.</summary>
    public string Explain(NcclResult result)
    {
        var last = Marshal.PtrToStringUTF8((nint)_getLastError(0))?.Trim();
        var words = $"{Marshal.PtrToStringUTF8((nint)_getErrorString(result))} ({(int)result})";
        return string.IsNullOrEmpty(last) ? words : $"{words}: {last}";
    }

    private static (NcclLibrary?, string) Find()
    {
        // The sum inside NVLink switches, the default on eight H100s, is not the same bits from call to call; rings are.
        NativeEnvironment.SetDefault("NCCL_NVLS_ENABLE", "0");
        if (!LibTorch.HasCuda) return (null, "this libtorch came without CUDA");
        var folder = LibTorch.Load();
        try
        {
            if (Environment.GetEnvironmentVariable(PathVariable) is { Length: > 0 } chosen)
            {
                var file = Directory.Exists(chosen) ? System.IO.Path.Combine(chosen, FileName) : chosen;
                return NativeLibrary.TryLoad(file, out var own)
                    ? Use(own, file)
                    : (null, $"{PathVariable}: {file} could not be loaded: {DynamicLinker.ReasonFor(file)}");
            }
            // libtorch_cuda was loaded globally, and with it its NCCL, linked in or beside it.
            var everything = NativeLibrary.GetMainProgramHandle();
            if (NativeLibrary.TryGetExport(everything, "ncclCommInitRankConfig", out _)) return Use(everything, "NCCL of libtorch_cuda");
            string[] usual = [System.IO.Path.Combine(folder, "../../nvidia/nccl/lib", FileName), FileName];
            foreach (var path in usual)
                if (NativeLibrary.TryLoad(path, out var handle)) return Use(handle, path);
            return (null, $"{FileName} was not found with libtorch in {folder} nor on this machine; "
                + $"install it, or set {PathVariable} to it");
        }
        catch (LibTorchException unusable)
        {
            return (null, unusable.Message.TrimEnd('.'));
        }
    }

    private static (NcclLibrary, string) Use(nint handle, string path)
    {
        var library = new NcclLibrary(handle, path);
        return (library, $"NCCL {Words(library.Version)} from {path}");
    }
}
