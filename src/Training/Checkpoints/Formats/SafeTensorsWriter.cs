using System.Buffers.Binary;
using System.Text.Json;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>Writes safetensors files, tensor after tensor, so that no more than one is made or copied at a time.</summary>
public static class SafeTensorsWriter
{
    private const int Alignment = 8, LargestWriteBytes = 1 << 26;

    /// <summary>What Hugging Face's loaders look for.</summary>
    public static IReadOnlyDictionary<string, string> PyTorchMetadata { get; } = new Dictionary<string, string> { ["format"] = "pt" };

    /// <summary>
    /// Writes all tensors and replaces <paramref name="path"/> only when every byte is on the disk: at any moment the file is
    /// the old one or the new one.
    /// </summary>
    /// <exception cref="IOException">The disk refused; nothing is left behind.</exception>
    public static void Write(string path, IEnumerable<StoredTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        // Widest types first: every tensor then starts at a multiple of its element's size.
        var all = tensors.OrderByDescending(tensor => StoredType.Of(tensor.Type).ElementBytes).ToList();
        var temporary = $"{path}.{Path.GetRandomFileName()}.tmp";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                stream.Write(Header(all, metadata ?? PyTorchMetadata));
                foreach (var tensor in all) WriteData(stream, tensor);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary); // left only by a failure
        }
    }

    /// <summary>As above, of tensors that are there, each in its own type.</summary>
    public static void Write(
        string path, IEnumerable<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        Write(path, tensors.Select(tensor => StoredTensor.Of(tensor.Name, tensor.Tensor)), metadata);

    private static byte[] Header(List<StoredTensor> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        var json = new MemoryStream();
        json.Write(stackalloc byte[sizeof(ulong)]);
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            writer.WritePropertyName("__metadata__");
            JsonSerializer.Serialize(writer, metadata);
            long offset = 0;
            foreach (var tensor in tensors)
            {
                writer.WriteStartObject(tensor.Name);
                writer.WriteString("dtype", StoredType.Of(tensor.Type).Name);
                writer.WritePropertyName("shape");
                JsonSerializer.Serialize(writer, tensor.Info.Shape);
                writer.WritePropertyName("data_offsets");
                JsonSerializer.Serialize(writer, (long[])[offset, offset + tensor.SizeBytes]);
                writer.WriteEndObject();
                offset += tensor.SizeBytes;
            }
            writer.WriteEndObject();
        }
        while (json.Length % Alignment != 0) json.WriteByte((byte)' ');
        var header = json.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)(header.Length - sizeof(ulong)));
        return header;
    }

    private static unsafe void WriteData(FileStream stream, StoredTensor tensor)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var size = tensor.SizeBytes;
        if (size == 0) return;
        var stored = tensor.Values().detach().to(tensor.Type).cpu().contiguous();
        if (!stored.shape.SequenceEqual(tensor.Info.Shape))
            throw new ArgumentException($"{tensor.Name} was to be [{string.Join(", ", tensor.Info.Shape)}], "
                + $"got [{string.Join(", ", stored.shape)}]");
        var data = (byte*)TensorMemory.Pointer(stored);
        for (long done = 0; done < size; done += LargestWriteBytes)
            stream.Write(new ReadOnlySpan<byte>(data + done, (int)Math.Min(LargestWriteBytes, size - done)));
    }
}
