using System.Buffers.Binary;
using System.Text;

namespace Phi3VCluster.Training.Tests.Processing;

/// <summary>Writes an EXIF block that holds an orientation and nothing else, and puts it into image files.</summary>
internal static class SmallExif
{
    public static byte[] Block(ushort orientation, bool bigEndian)
    {
        byte[] block =
        [
            .. "II*\0"u8, 8, 0, 0, 0, 1, 0,
            0x12, 0x01, 3, 0, 1, 0, 0, 0, (byte)orientation, (byte)(orientation >> 8), 0, 0, 0, 0, 0, 0,
        ];
        return bigEndian
            ? [.. "MM\0*"u8, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, (byte)(orientation >> 8), (byte)orientation, .. block[20..]]
            : block;
    }

    /// <summary>Behind the first marker, as cameras have it.</summary>
    public static byte[] InJpeg(byte[] jpeg, byte[] block) => WithSegment(jpeg, [.. "Exif\0\0"u8, .. block]);

    public static byte[] WithXmp(byte[] jpeg, string packet) =>
        WithSegment(jpeg, [.. "http://ns.adobe.com/xap/1.0/\0"u8, .. Encoding.UTF8.GetBytes(packet)]);

    /// <summary>Before the last chunk.</summary>
    public static byte[] InPng(byte[] png, string chunk, byte[] content)
    {
        const int endBytes = 12;
        using var file = new MemoryStream();
        file.Write(png.AsSpan(0, png.Length - endBytes));
        SmallPng.Chunk(file, chunk, content);
        file.Write(png.AsSpan(png.Length - endBytes));
        return file.ToArray();
    }

    /// <summary>Behind all chunks.</summary>
    public static byte[] InWebP(byte[] webp, string chunk, byte[] content)
    {
        byte[] file = [.. webp, .. Encoding.ASCII.GetBytes(chunk), .. BitConverter.GetBytes(content.Length), .. content];
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(4), file.Length - 8);
        return file;
    }

    private static byte[] WithSegment(byte[] jpeg, byte[] content)
    {
        var length = content.Length + 2;
        return [.. jpeg[..2], 0xFF, 0xE1, (byte)(length >> 8), (byte)length, .. content, .. jpeg[2..]];
    }
}
