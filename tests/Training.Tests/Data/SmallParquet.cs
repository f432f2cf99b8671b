using Apache.Arrow;
using Apache.Arrow.Types;
using ParquetSharp.Arrow;

namespace Phi3VCluster.Training.Tests.Data;

/// <summary>Writes nested parquet files with nulls at any level.</summary>
internal static class SmallParquet
{
    public static string Write(string path, int groupRows, params (string Name, IArrowArray Values)[] columns)
    {
        var schema = new Schema(columns.Select(c => new Field(c.Name, c.Values.Data.DataType, nullable: true)), null);
        using var batch = new RecordBatch(schema, columns.Select(c => c.Values), columns[0].Values.Length);
        using var properties = new ArrowWriterPropertiesBuilder().StoreSchema().Build(); // or a reader meets the plain types only
        using var writer = new FileWriter(path, schema, arrowProperties: properties);
        writer.WriteRecordBatch(batch, groupRows);
        writer.Close();
        return path;
    }

    public static IArrowArray Texts(IEnumerable<string?> texts) => new StringArray.Builder().AppendRange(texts).Build();

    public static IArrowArray Bytes(IEnumerable<byte[]?> cells)
    {
        var builder = new BinaryArray.Builder();
        foreach (var cell in cells)
        {
            if (cell is null) builder.AppendNull();
            else builder.Append(cell.AsSpan());
        }
        return builder.Build();
    }

    /// <param name="there">Which of the structs are not null.</param>
    public static StructArray Struct(IEnumerable<bool> there, params (string Name, IArrowArray Values)[] fields)
    {
        var (bits, nulls) = Bits(there);
        return new(new StructType([.. fields.Select(f => new Field(f.Name, f.Values.Data.DataType, nullable: true))]),
            fields[0].Values.Length, fields.Select(f => f.Values), bits, nulls);
    }

    /// <param name="items">All items of all lists as one array.</param>
    public static ListArray Lists<T>(IReadOnlyList<IReadOnlyList<T>?> lists, Func<IReadOnlyList<T>, IArrowArray> items)
    {
        var offsets = new ArrowBuffer.Builder<int>().Append(0);
        var end = 0;
        foreach (var list in lists) offsets.Append(end += list?.Count ?? 0);
        var (bits, nulls) = Bits(lists.Select(list => list is not null));
        var values = items([.. lists.SelectMany(list => list ?? [])]);
        return new(new ListType(values.Data.DataType), lists.Count, offsets.Build(), values, bits, nulls);
    }

    public static StructArray Images(IReadOnlyList<SmallImage?> images) => Struct(images.Select(image => image is not null),
        ("bytes", Bytes(images.Select(image => image?.Bytes))), ("path", Texts(images.Select(image => image?.Path))));

    private static (ArrowBuffer Bits, int Nulls) Bits(IEnumerable<bool> there)
    {
        var bits = new ArrowBuffer.BitmapBuilder().AppendRange(there);
        return (bits.Build(), bits.UnsetBitCount);
    }
}

internal sealed record SmallImage(byte[]? Bytes, string? Path = null);
