using System.Buffers.Binary;

namespace Phi3VCluster.Training.Tests.Processing;

/// <summary>Writes the smallest RGB TIFF: header, one directory, bits per sample, one strip.</summary>
internal static class SmallTiff
{
    public static byte[] Write(byte[] rgb, int width, int height, bool bigEndian, int compression = 1, int orientation = 1)
    {
        const int u16 = 3, u32 = 4, directory = 8;
        (int Tag, int Type, int Count, int Value)[] entries =
        [
            (256, u32, 1, width), (257, u32, 1, height), (258, u16, 3, -1), (259, u16, 1, compression), (262, u16, 1, 2),
            (273, u32, 1, -2), (274, u16, 1, orientation), (277, u16, 1, 3), (278, u32, 1, height), (279, u32, 1, rgb.Length),
        ];
        var bits = directory + 2 + entries.Length * 12 + 4;
        var strip = bits + 6;
        var file = new byte[strip + rgb.Length];
        (bigEndian ? "MM\0*"u8 : "II*\0"u8).CopyTo(file);
        Put32(4, directory);
        Put16(directory, entries.Length);
        for (var i = 0; i < entries.Length; i++)
        {
            var (at, (tag, type, count, value)) = (directory + 2 + i * 12, entries[i]);
            Put16(at, tag);
            Put16(at + 2, type);
            Put32(at + 4, count);
            if (type == u16 && count == 1) Put16(at + 8, value);
            else Put32(at + 8, value switch { -1 => bits, -2 => strip, _ => value });
        }
        for (var i = 0; i < 3; i++) Put16(bits + 2 * i, 8);
        rgb.CopyTo(file, strip);
        return file;

        void Put16(int at, int value)
        {
            if (bigEndian) BinaryPrimitives.WriteUInt16BigEndian(file.AsSpan(at), (ushort)value);
            else BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(at), (ushort)value);
        }

        void Put32(int at, int value)
        {
            if (bigEndian) BinaryPrimitives.WriteInt32BigEndian(file.AsSpan(at), value);
            else BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(at), value);
        }
    }
}
