using System.Buffers.Binary;
using System.Text.Json;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>Writes safetensors files, tensor after tensor, so that no more than one is copied at a time.</summary>
public static class SafeTensorsWriter
{
    private const int Alignment = 8, LargestWriteBytes = 1 << 26;

    /// <summary>What Hugging Face's loaders look for.</summary>
    public static IReadOnlyDictionary<string, string> PyTorchMetadata { get; } = new Dictionary<string, string> { ["format"] = "pt" };

    /// <summary>
    /// Writes all tensors and replaces <paramref name="path"/> only when every byte is on the disk: at any moment the file is
    /// the old one or the new one.
    /// </summary>
    /// <param name="type">Convert to this type while writing; null keeps each tensor's own.</param>
    /// <exception cref="IOException">The disk refused; nothing is left behind.</exception>
    public static void Write(string path, IEnumerable<(string Name, Tensor Tensor)> tensors,
        IReadOnlyDictionary<string, string>? metadata = null, ScalarType? type = null)
    {
        // Widest types first: every tensor then starts at a multiple of its element's size.
        var all = tensors.OrderByDescending(t => StoredType.Of(type ?? t.Tensor.dtype).ElementBytes).ToList();
        var temporary = $"{path}.{Path.GetRandomFileName()}.tmp";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                stream.Write(Header(all, metadata ?? PyTorchMetadata, type));
                foreach (var (_, tensor) in all) WriteData(stream, tensor, type ?? tensor.dtype);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary); // left only by a failure
        }
    }

    private static byte[] Header(List<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string> metadata, ScalarType? type)
    {
        var json = new MemoryStream();
        json.Write(stackalloc byte[sizeof(ulong)]);
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            writer.WritePropertyName("__metadata__");
            JsonSerializer.Serialize(writer, metadata);
            long offset = 0;
            foreach (var (name, tensor) in tensors)
            {
                var stored = StoredType.Of(type ?? tensor.dtype);
                var size = tensor.numel() * stored.ElementBytes;
                writer.WriteStartObject(name);
                writer.WriteString("dtype", stored.Name);
                writer.WritePropertyName("shape");
                JsonSerializer.Serialize(writer, tensor.shape);
                writer.WritePropertyName("data_offsets");
                JsonSerializer.Serialize(writer, (long[])[offset, offset + size]);
                writer.WriteEndObject();
                offset += size;
            }
            writer.WriteEndObject();
        }
        while (json.Length % Alignment != 0) json.WriteByte((byte)' ');
        var header = json.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)(header.Length - sizeof(ulong)));
        return header;
    }

    private static unsafe void WriteData(FileStream stream, Tensor tensor, ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        if (tensor.numel() == 0) return;
        var stored = tensor.detach().to(type).cpu().contiguous();
        var data = (byte*)TensorMemory.Pointer(stored);
        var size = stored.numel() * StoredType.Of(type).ElementBytes;
        for (long done = 0; done < size; done += LargestWriteBytes)
            stream.Write(new ReadOnlySpan<byte>(data + done, (int)Math.Min(LargestWriteBytes, size - done)));
    }
}
