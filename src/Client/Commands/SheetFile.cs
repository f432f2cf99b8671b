using System.Buffers.Binary;
using System.Text;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>
/// The file of a contact sheet. It replaces an older sheet and nothing else: sheets carry a mark, so that neither the data nor a page of
/// them can be overwritten.
/// </summary>
internal static class SheetFile
{
    private const string Extension = ".png", MadeBy = "phi3v inspect";
    private const int SignatureBytes = 8, ChunkFrame = 12, HeaderChunk = 13 + ChunkFrame;

    private static readonly byte[] Mark = Encoding.Latin1.GetBytes($"tEXtSoftware\0{MadeBy}");

    /// <summary>Before the work, which may take minutes.</summary>
    /// <exception cref="InputException">A sheet cannot or must not be written there.</exception>
    public static void Check(string path)
    {
        var folder = Path.GetDirectoryName(path);
        if (Directory.Exists(path)) throw new InputException($"--sheet: is a folder, got {path}; give a file.");
        if (!Directory.Exists(folder))
            throw new InputException($"--sheet: there is no such folder, got {path}; make it or give another file.");
        if (!Path.GetExtension(path).Equals(Extension, StringComparison.OrdinalIgnoreCase))
            throw new InputException($"--sheet: a sheet is a PNG file, got {path}; end its name with {Extension}.");
        if (RunSpecFiles.IsReadOnly(folder))
            throw new InputException(
                $"--sheet: {folder} cannot be written to, got {path}; give a file elsewhere, or --pages 0 for no sheet.");
        if (File.Exists(path) && !IsSheet(path))
            throw new InputException($"--sheet: the file is there and is no sheet of `{MadeBy}`, got {path}; give another name.");
    }

    /// <summary>It appears whole or not at all.</summary>
    public static void Write(string path, byte[] png) => AtomicFile.Write(path, Marked(png));

    private static bool IsSheet(string path)
    {
        using var file = File.OpenRead(path);
        var head = new byte[SignatureBytes + HeaderChunk + ChunkFrame + Mark.Length];
        return file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) == head.Length && head.AsSpan().IndexOf(Mark) >= 0;
    }

    // Behind the header, which comes first in every PNG: length, type and text, checksum.
    private static byte[] Marked(byte[] png)
    {
        var chunk = new byte[Mark.Length + 8];
        BinaryPrimitives.WriteInt32BigEndian(chunk, Mark.Length - 4); // the type is not counted
        Mark.CopyTo(chunk, 4);
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(^4), Checksum(Mark));
        var head = SignatureBytes + HeaderChunk;
        return [.. png[..head], .. chunk, .. png[head..]];
    }

    /// <summary>CRC-32 as PNG has it.</summary>
    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var one in bytes)
        {
            crc ^= one;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) == 0 ? crc >> 1 : (crc >> 1) ^ 0xEDB88320;
        }
        return ~crc;
    }
}
