namespace Phi3VCluster.Training.Processing;

/// <summary>
/// GIF as Pillow shows its first frame: pixels that are to be seen through keep their palette colour, and a canvas larger than the frame is
/// filled with one. Skia leaves both black, so it gets the file with the mark of transparency taken off, and what it leaves open is filled.
/// </summary>
internal sealed class GifFile
{
    private const int HeaderBytes = 13, DescriptorBytes = 10;
    private const byte Extension = 0x21, GraphicControl = 0xF9, ImageDescriptor = 0x2C, HasPalette = 0x80, HasTransparency = 1;

    private GifFile(byte[] opaque, byte[] fill) => (Opaque, Fill) = (opaque, fill);

    /// <summary>The file for Skia.</summary>
    public byte[] Opaque { get; }

    /// <summary>Red, green, blue of what no frame covers.</summary>
    public byte[] Fill { get; }

    public static bool Begins(ReadOnlySpan<byte> file) => file.StartsWith("GIF87a"u8) || file.StartsWith("GIF89a"u8);

    /// <summary>Null where the file ends before its first frame: a decoder then says what is wrong.</summary>
    public static GifFile? Read(byte[] file)
    {
        if (file.Length < HeaderBytes) return null;
        var opaque = (byte[])file.Clone();
        var palette = PaletteAt(opaque, HeaderBytes, opaque[10]);
        var transparent = 0;
        for (var at = HeaderBytes + palette.Length; at + DescriptorBytes <= file.Length;)
        {
            if (opaque[at] == ImageDescriptor)
            {
                var own = PaletteAt(opaque, at + DescriptorBytes, opaque[at + 9]);
                return new(opaque, Colour(own.IsEmpty ? palette : own, transparent));
            }
            if (opaque[at] != Extension) return null;
            if (opaque[at + 1] == GraphicControl && opaque[at + 2] >= 4)
            {
                transparent = (opaque[at + 3] & HasTransparency) != 0 ? opaque[at + 6] : 0;
                opaque[at + 3] &= unchecked((byte)~HasTransparency);
            }
            for (at += 2; at < opaque.Length && opaque[at] != 0;) at += opaque[at] + 1;
            at++;
        }
        return null;
    }

    private static ReadOnlySpan<byte> PaletteAt(byte[] file, int at, byte flags)
    {
        var length = (flags & HasPalette) == 0 ? 0 : 3 << ((flags & 7) + 1);
        return file.AsSpan(Math.Min(at, file.Length), Math.Min(length, Math.Max(file.Length - at, 0)));
    }

    private static byte[] Colour(ReadOnlySpan<byte> palette, int index) =>
        palette.IsEmpty ? [(byte)index, (byte)index, (byte)index]
        : 3 * index + 3 <= palette.Length ? palette.Slice(3 * index, 3).ToArray() : [0, 0, 0];
}
