using System.Buffers.Binary;
using System.Text;

namespace Phi3VCluster.Training.Native;

/// <summary>The two things we need of a 64-bit little-endian ELF file: which symbols it wants, and a version need made weak.</summary>
internal static class ElfImage
{
    private const uint DynamicSymbols = 11, VersionNeeds = 0x6ffffffe;
    private const ushort WeakFlag = 2; // VER_FLG_WEAK

    /// <summary>Names of the symbols that other libraries must define; weak ones, which may stay undefined, left out.</summary>
    public static IEnumerable<string> UndefinedSymbols(byte[] image)
    {
        var table = Sections(image).First(s => s.Type == DynamicSymbols);
        var names = Sections(image).ElementAt((int)table.Link);
        const int entrySize = 24, strong = 1;
        for (var at = table.Offset + entrySize; at < table.Offset + table.Size; at += entrySize)
        {
            var definedIn = BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan((int)at + 6));
            var binding = image[at + 4] >> 4;
            if (definedIn == 0 && binding == strong)
                yield return Text(image, names.Offset + BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan((int)at)));
        }
    }

    /// <summary>Makes the need for <paramref name="version"/> weak, in place: the linker then warns no one when it is absent.</summary>
    /// <returns>False when the image does not need that version.</returns>
    public static bool WeakenVersionNeed(byte[] image, string version)
    {
        var needs = Sections(image).FirstOrDefault(s => s.Type == VersionNeeds);
        if (needs.Size == 0) return false;
        var names = Sections(image).ElementAt((int)needs.Link);
        var found = false;
        for (var library = needs.Offset; ;)
        {
            var entry = library + U32(image, library + 8);
            for (var left = BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan((int)library + 2)); left > 0; left--)
            {
                if (Text(image, names.Offset + U32(image, entry + 8)) == version)
                {
                    var flags = image.AsSpan((int)entry + 4);
                    BinaryPrimitives.WriteUInt16LittleEndian(flags, (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(flags) | WeakFlag));
                    found = true;
                }
                entry += U32(image, entry + 12);
            }
            var next = U32(image, library + 12);
            if (next == 0) return found;
            library += next;
        }
    }

    private readonly record struct Section(uint Type, long Offset, long Size, uint Link);

    private static IEnumerable<Section> Sections(byte[] image)
    {
        if (image.Length < 64 || image[0] != 0x7f || image[4] != 2 || image[5] != 1)
            throw new LibTorchException("libLibTorchSharp.so is not a 64-bit little-endian ELF file.");
        var table = BinaryPrimitives.ReadInt64LittleEndian(image.AsSpan(0x28));
        var entrySize = BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(0x3a));
        var count = BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(0x3c));
        for (var i = 0; i < count; i++)
        {
            var at = table + (long)i * entrySize;
            yield return new(U32(image, at + 4), BinaryPrimitives.ReadInt64LittleEndian(image.AsSpan((int)at + 0x18)),
                BinaryPrimitives.ReadInt64LittleEndian(image.AsSpan((int)at + 0x20)), U32(image, at + 0x28));
        }
    }

    private static uint U32(byte[] image, long at) => BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan((int)at));

    private static string Text(byte[] image, long at)
    {
        var rest = image.AsSpan((int)at);
        return Encoding.ASCII.GetString(rest[..rest.IndexOf((byte)0)]);
    }
}
