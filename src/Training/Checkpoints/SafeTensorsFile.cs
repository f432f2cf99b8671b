using System.IO.MemoryMappedFiles;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>A safetensors file, mapped into memory: tensors are read where they are and only when asked for.</summary>
public sealed unsafe class SafeTensorsFile : IDisposable
{
    private readonly Dictionary<string, SafeTensorsEntry> _entries;
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
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
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
        throw new InputException([.. problems.Select(problem => $"{path}: {problem}; download or export it again.")]);
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

    public void Dispose()
    {
        if (_view is null) return;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file!.Dispose();
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
