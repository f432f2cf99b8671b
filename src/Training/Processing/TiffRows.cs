using BitMiracle.LibTiff.Classic;

namespace Phi3VCluster.Training.Processing;

/// <summary>Unpacks a page's strips or tiles to rows of samples as they are stored, each row at a whole byte.</summary>
internal sealed class TiffRows(Tiff tiff, TiffPage page)
{
    private const int MostRowBytes = 1 << 28;

    private readonly int _planes = page.IsPlanar ? page.Samples : 1;

    /// <summary>Bytes of a row of one plane.</summary>
    public static int RowBytes(TiffPage page)
    {
        var bytes = ((long)page.Width * page.SamplesTogether * page.Bits + 7) / 8;
        return bytes <= MostRowBytes ? (int)bytes : throw new InvalidDataException("its rows are too long");
    }

    /// <summary>One array a plane.</summary>
    /// <exception cref="InvalidDataException">It is cut short or broken.</exception>
    public byte[][] Read()
    {
        var planes = new byte[_planes][];
        for (var plane = 0; plane < _planes; plane++)
        {
            planes[plane] = new byte[checked((long)RowBytes(page) * page.Height)];
            if (tiff.IsTiled()) ReadTiles(plane, planes[plane]);
            else ReadStrips(plane, planes[plane]);
        }
        return planes;
    }

    private void ReadStrips(int plane, byte[] rows)
    {
        var rowsPerStrip = tiff.GetFieldDefaulted(TiffTag.ROWSPERSTRIP) is { Length: > 0 } field ? (uint)field[0].ToInt() : uint.MaxValue;
        var most = (int)Math.Clamp(rowsPerStrip, 1, (uint)page.Height);
        var strip = new byte[Math.Max(tiff.StripSize(), 1)];
        var rowBytes = RowBytes(page);
        for (var row = 0; row < page.Height; row += most)
        {
            var wanted = Math.Min(most, page.Height - row) * rowBytes;
            var got = tiff.ReadEncodedStrip(tiff.ComputeStrip(row, (short)plane), strip, 0, strip.Length);
            if (got < wanted) throw new InvalidDataException($"{row} of {page.Height} rows are whole");
            strip.AsSpan(0, wanted).CopyTo(rows.AsSpan(row * rowBytes));
        }
    }

    private void ReadTiles(int plane, byte[] rows)
    {
        var (tileWidth, tileHeight) = (tiff.GetField(TiffTag.TILEWIDTH)[0].ToInt(), tiff.GetField(TiffTag.TILELENGTH)[0].ToInt());
        if (tileWidth < 1 || tileHeight < 1) throw new InvalidDataException("its tiles have no size");
        var (tile, tileRow, rowBytes) = (new byte[Math.Max(tiff.TileSize(), 1)], tiff.TileRowSize(), RowBytes(page));
        for (var top = 0; top < page.Height; top += tileHeight)
            for (var left = 0; left < page.Width; left += tileWidth)
            {
                if (tiff.ReadTile(tile, 0, left, top, 0, (short)plane) < 0)
                    throw new InvalidDataException($"the tile at {left}, {top} is not whole");
                var begin = (int)((long)left * page.SamplesTogether * page.Bits / 8); // tiles are as wide as a multiple of 16
                var count = Math.Min(tileRow, rowBytes - begin);
                for (var row = 0; row < Math.Min(tileHeight, page.Height - top); row++)
                    tile.AsSpan(row * tileRow, count).CopyTo(rows.AsSpan((top + row) * rowBytes + begin));
            }
    }
}
