using BitMiracle.LibTiff.Classic;

namespace Phi3VCluster.Training.Tests.Processing;

/// <summary>Writes TIFF of any layout from samples as they are stored.</summary>
/// <param name="Bits">Of a sample.</param>
/// <param name="Samples">Of a pixel.</param>
internal sealed record WrittenTiff(int Width, int Height, int Bits, int Samples, Photometric Colours)
{
    public Compression Compression { get; init; } = Compression.NONE;
    public bool IsPlanar { get; init; }
    public int TileSide { get; init; }
    public int RowsPerStrip { get; init; } = 3;
    public bool BigEndian { get; init; }
    public int Predictor { get; init; } = 1;
    public short[] ExtraSamples { get; init; } = [];
    public ushort[][]? Palette { get; init; }
    public bool IsFloat { get; init; }
    public int Orientation { get; init; } = 1;
    public Group3Opt Group3 { get; init; }

    /// <param name="sample">The value of a sample: column, row, number within the pixel.</param>
    public byte[] Write(Func<int, int, int, uint> sample)
    {
        using var file = new MemoryStream();
        using (var tiff = Tiff.ClientOpen("written", BigEndian ? "wb" : "wl", file, new Kept()))
        {
            SetFields(tiff);
            for (var plane = 0; plane < (IsPlanar ? Samples : 1); plane++)
            {
                if (TileSide > 0) WriteTiles(tiff, plane, sample);
                else
                    for (var y = 0; y < Height; y++) Assert.True(tiff.WriteScanline(Packed(sample, 0, Width, y, plane), y, (short)plane));
            }
            Assert.True(tiff.WriteDirectory());
        }
        return file.ToArray();
    }

    private void SetFields(Tiff tiff)
    {
        tiff.SetField(TiffTag.IMAGEWIDTH, Width);
        tiff.SetField(TiffTag.IMAGELENGTH, Height);
        tiff.SetField(TiffTag.BITSPERSAMPLE, Bits);
        tiff.SetField(TiffTag.SAMPLESPERPIXEL, Samples);
        tiff.SetField(TiffTag.PHOTOMETRIC, Colours);
        tiff.SetField(TiffTag.COMPRESSION, Compression);
        tiff.SetField(TiffTag.PLANARCONFIG, IsPlanar ? PlanarConfig.SEPARATE : PlanarConfig.CONTIG);
        tiff.SetField(TiffTag.ORIENTATION, Orientation);
        if (IsFloat) tiff.SetField(TiffTag.SAMPLEFORMAT, SampleFormat.IEEEFP);
        if (ExtraSamples.Length > 0) tiff.SetField(TiffTag.EXTRASAMPLES, ExtraSamples.Length, ExtraSamples);
        if (Palette is [var red, var green, var blue]) tiff.SetField(TiffTag.COLORMAP, red, green, blue);
        if (Predictor > 1) tiff.SetField(TiffTag.PREDICTOR, Predictor);
        if (Group3 != 0) tiff.SetField(TiffTag.GROUP3OPTIONS, Group3);
        if (TileSide > 0)
        {
            tiff.SetField(TiffTag.TILEWIDTH, TileSide);
            tiff.SetField(TiffTag.TILELENGTH, TileSide);
        }
        else tiff.SetField(TiffTag.ROWSPERSTRIP, RowsPerStrip);
    }

    private void WriteTiles(Tiff tiff, int plane, Func<int, int, int, uint> sample)
    {
        for (var top = 0; top < Height; top += TileSide)
            for (var left = 0; left < Width; left += TileSide)
            {
                var tile = Enumerable.Range(top, TileSide).SelectMany(y => Packed(sample, left, TileSide, y, plane)).ToArray();
                Assert.True(tiff.WriteTile(tile, left, top, 0, (short)plane) >= 0);
            }
    }

    private byte[] Packed(Func<int, int, int, uint> sample, int left, int count, int y, int plane)
    {
        var together = IsPlanar ? 1 : Samples;
        var row = new byte[(count * together * Bits + 7) / 8];
        for (var i = 0; i < count * together; i++)
        {
            var (x, number) = (left + i / together, IsPlanar ? plane : i % together);
            var value = x < Width && y < Height ? sample(x, y, number) : 0;
            if (Bits == 8) row[i] = (byte)value;
            else if (Bits == 16) BitConverter.TryWriteBytes(row.AsSpan(2 * i), (ushort)value);
            else if (Bits == 32) BitConverter.TryWriteBytes(row.AsSpan(4 * i), value);
            else
                for (var bit = 0; bit < Bits; bit++)
                    if ((value >> (Bits - 1 - bit) & 1) != 0) row[(i * Bits + bit) / 8] |= (byte)(128 >> ((i * Bits + bit) % 8));
        }
        return row;
    }

    /// <summary>Leaves the stream open.</summary>
    private sealed class Kept : TiffStream
    {
        public override void Close(object clientData) { }
    }
}
