using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>A safetensors file: tensors are read only when asked for, into their place or where they are.</summary>
public sealed unsafe class SafeTensorsFile : IDisposable
{
    private const int ReadBytes = 1 << 20, LargestReadBytes = 1 << 26; // what is converted stays in the cache

    private readonly Dictionary<string, SafeTensorsEntry> _entries;
    private readonly long _dataStart;
    private readonly SafeFileHandle? _handle;
    private readonly MemoryMappedFile? _file;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly byte* _data;

    private SafeTensorsFile(string path, List<SafeTensorsEntry> entries, Dictionary<string, string> metadata, long dataStart)
    {
        Path = path;
        Metadata = metadata;
        Names = [.. entries.Select(entry => entry.Info.Name)];
        _entries = entries.ToDictionary(entry => entry.Info.Name, StringComparer.Ordinal);
        if (entries.All(entry => entry.SizeBytes == 0)) return; // nothing to map
        _dataStart = dataStart;
        _handle = File.OpenHandle(path);
        _file = MemoryMappedFile.CreateFromFile(_handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _data);
        _data += dataStart;
    }

    public string Path { get; }

    /// <summary>In the order of the header.</summary>
    public IReadOnlyList<string> Names { get; }

    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <exception cref="InputException">No such file, or not a whole and sound safetensors file; all problems at once.</exception>
    public static SafeTensorsFile Open(string path)
    {
        var (problems, metadata) = (new List<string>(), new Dictionary<string, string>(StringComparer.Ordinal));
        try
        {
            using var stream = File.OpenRead(path);
            var json = ReadHeader(stream, problems);
            var dataStart = sizeof(ulong) + json.LongLength;
            var entries = problems.Count > 0 ? [] : SafeTensorsHeader.Parse(json, stream.Length - dataStart, metadata, problems);
            if (problems.Count == 0) return new(path, entries, metadata, dataStart);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            problems.Add($"cannot be read ({error.Message})");
        }
        if (FileSignature.InPlaceOfModel(path) is { } foreign) throw new InputException($"{path}: {foreign}");
        string[] all = [.. problems.Select(problem => $"{path}: {problem}; download or export it again.")];
        throw new InputException(ProblemList.Short(all, path));
    }

    public bool Contains(string name) => _entries.ContainsKey(name);

    /// <exception cref="KeyNotFoundException">No such tensor.</exception>
    public TensorInfo Info(string name) => _entries[name].Info;

    public ScalarType Type(string name) => _entries[name].Type;

    public long SizeBytes(string name) => _entries[name].SizeBytes;

    /// <summary>The tensor where it lies in the file: read it only, and only until the file is disposed.</summary>
    public Tensor View(string name)
    {
        var entry = _entries[name];
        return entry.SizeBytes == 0
            ? empty(entry.Info.Shape, entry.Type)
            : TensorMemory.View((nint)(_data + entry.OffsetBytes), entry.Info.Shape, entry.Type);
    }

    /// <summary>
    /// Reads the tensor into <paramref name="destination"/>, of any type and device. Not through the map, whose pages would stay resident
    /// beside the tensors: loading a model then takes twice its size.
    /// </summary>
    /// <exception cref="InputException">The file has become shorter since it was opened.</exception>
    public void CopyTo(string name, Tensor destination)
    {
        var entry = _entries[name];
        if (entry.SizeBytes == 0) return;
        if (!destination.shape.SequenceEqual(entry.Info.Shape))
            throw new ArgumentException($"{name} is [{string.Join(", ", entry.Info.Shape)}], "
                + $"its place [{string.Join(", ", destination.shape)}]");
        using var scope = NewDisposeScope();
        using var gradients = no_grad(); // the destination may be a trained leaf
        if (!destination.is_contiguous()) destination.copy_(View(name));
        else if (destination.dtype == entry.Type && destination.device_type == TorchSharp.DeviceType.CPU)
            Read(entry.OffsetBytes, TensorMemory.Pointer(destination), entry.SizeBytes);
        else ReadConverted(entry, destination.view(-1));
    }

    private void ReadConverted(SafeTensorsEntry entry, Tensor flat)
    {
        var elementBytes = entry.SizeBytes / flat.numel();
        var buffer = empty(Math.Min(ReadBytes / elementBytes, flat.numel()), entry.Type);
        for (long done = 0; done < flat.numel(); done += buffer.numel())
        {
            using var step = NewDisposeScope();
            var count = Math.Min(buffer.numel(), flat.numel() - done);
            Read(entry.OffsetBytes + done * elementBytes, TensorMemory.Pointer(buffer), count * elementBytes);
            flat.narrow(0, done, count).copy_(buffer.narrow(0, 0, count));
        }
    }

    private void Read(long offset, nint target, long size)
    {
        for (long done = 0; done < size;)
        {
            var wanted = (int)Math.Min(LargestReadBytes, size - done);
            var got = RandomAccess.Read(_handle!, new Span<byte>((byte*)target + done, wanted), _dataStart + offset + done);
            if (got == 0) throw new InputException($"{Path}: has become shorter since it was opened; do not change it during a run.");
            done += got;
        }
    }

    public void Dispose()
    {
        if (_view is null) return;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file!.Dispose();
        _handle!.Dispose();
    }

    private static byte[] ReadHeader(FileStream stream, List<string> problems)
    {
        Span<byte> length = stackalloc byte[sizeof(ulong)];
        if (stream.Length < length.Length)
        {
            problems.Add($"has {stream.Length} bytes, too few for a safetensors file");
            return [];
        }
        stream.ReadExactly(length);
        var size = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(length);
        if (size > SafeTensorsHeader.LargestJsonBytes || (long)size > stream.Length - length.Length)
        {
            problems.Add($"says that its header has {size} bytes, but has {stream.Length} in all: it is cut short or no such file");
            return [];
        }
        var json = new byte[size];
        stream.ReadExactly(json);
        return json;
    }
}
