using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Phi3VCluster.Samples;

/// <summary>
/// Writes float32 tensors in the safetensors format: the header's length as 8 little-endian bytes, the header as JSON padded with
/// blanks to a multiple of 8, then the numbers in the header's order.
/// </summary>
internal static class TinySafetensors
{
    public static void Write(string path, IReadOnlyList<(TinyTensor Tensor, float[] Values)> tensors)
    {
        var header = Header(tensors.Select(t => t.Tensor));
        using var file = File.Create(path);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        file.Write(length);
        file.Write(header);
        foreach (var (_, values) in tensors)
            file.Write(MemoryMarshal.AsBytes<float>(values));
    }

    private static byte[] Header(IEnumerable<TinyTensor> tensors)
    {
        var entries = new Dictionary<string, object> { ["__metadata__"] = new { format = "pt" } };
        long offset = 0;
        foreach (var tensor in tensors)
        {
            var end = offset + (long)tensor.Count * sizeof(float);
            entries.Add(tensor.Name, new { dtype = "F32", shape = tensor.Shape, data_offsets = new[] { offset, end } });
            offset = end;
        }
        var json = JsonSerializer.SerializeToUtf8Bytes(entries);
        var padded = new byte[(json.Length + 7) / 8 * 8];
        json.CopyTo(padded, 0);
        padded.AsSpan(json.Length).Fill((byte)' ');
        return padded;
    }
}
