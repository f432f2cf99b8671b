using System.Buffers.Binary;

namespace Phi3VCluster.Training.Processing;

/// <summary>The first directory of a TIFF file, or of an EXIF block, which is a TIFF file without a picture. Whole numbers only.</summary>
internal sealed class TiffDirectory
{
    public const ushort Orientation = 274;

    private const int U16Type = 3, U32Type = 4;

    private readonly ReadOnlyMemory<byte> _file;
    private readonly bool _littleEndian;
    private readonly Dictionary<ushort, long> _entries = [];

    /// <exception cref="InvalidDataException">The directory is not there.</exception>
    public TiffDirectory(ReadOnlyMemory<byte> file)
    {
        if (!Begins(file.Span)) throw new InvalidDataException("it does not begin as a TIFF file");
        (_file, _littleEndian) = (file, file.Span[0] == 'I');
        var at = U32(4);
        var count = U16(at);
        for (var i = 0; i < count; i++)
        {
            var entry = at + 2 + 12L * i;
            if (U16(entry + 2) is U16Type or U32Type) _entries[U16(entry)] = entry;
        }
    }

    public static bool Begins(ReadOnlySpan<byte> file) => file.Length > 8 && (file.StartsWith("II*\0"u8) || file.StartsWith("MM\0*"u8));

    /// <summary>A tag's numbers, <paramref name="otherwise"/> where it is not there.</summary>
    /// <exception cref="InvalidDataException">It is neither there nor has it a default, or its numbers lie outside the file.</exception>
    public uint[] Values(ushort tag, uint? otherwise = null)
    {
        var count = _entries.TryGetValue(tag, out var entry) ? U32(entry + 4) : 0;
        if (count == 0) return otherwise is { } value ? [value] : throw new InvalidDataException($"tag {tag} is missing");
        long size = U16(entry + 2) == U16Type ? 2 : 4, at = count * size <= 4 ? entry + 8 : U32(entry + 8);
        Bytes(at, count * size);
        var numbers = new uint[count];
        for (var i = 0; i < count; i++) numbers[i] = size == 2 ? U16(at + i * size) : U32(at + i * size);
        return numbers;
    }

    public uint Value(ushort tag, uint? otherwise = null) => Values(tag, otherwise)[0];

    /// <exception cref="InvalidDataException">The file is shorter.</exception>
    public ReadOnlySpan<byte> Bytes(long at, long count) =>
        at + count <= _file.Length ? _file.Span.Slice((int)at, (int)count) : throw new InvalidDataException("it is cut short");

    private ushort U16(long at) => _littleEndian
        ? BinaryPrimitives.ReadUInt16LittleEndian(Bytes(at, 2)) : BinaryPrimitives.ReadUInt16BigEndian(Bytes(at, 2));

    private uint U32(long at) => _littleEndian
        ? BinaryPrimitives.ReadUInt32LittleEndian(Bytes(at, 4)) : BinaryPrimitives.ReadUInt32BigEndian(Bytes(at, 4));
}
