using Apache.Arrow;
using Apache.Arrow.Types;

namespace Phi3VCluster.Training.Data;

/// <summary>A leaf column of a parquet file, whatever the writer called the items of its lists.</summary>
/// <param name="Path">Names from the top, lists marked by []: texts[].user.</param>
/// <param name="Type">text, bytes, or Arrow's name of another type.</param>
internal readonly record struct ParquetColumn(string Path, string Type)
{
    private const string TextType = "text", BytesType = "bytes", NullType = "null";

    public static ParquetColumn Text(string path) => new(path, TextType);

    public static ParquetColumn Bytes(string path) => new(path, BytesType);

    /// <summary>In the order of the file.</summary>
    public static IReadOnlyList<ParquetColumn> Leaves(Schema schema) =>
        [.. schema.FieldsList.SelectMany(field => Leaves(field.Name, field.DataType))];

    /// <summary>A column of nulls alone has no type of its own and passes for any.</summary>
    public bool Fits(ParquetColumn wanted) => Path == wanted.Path && (Type == wanted.Type || Type == NullType);

    public override string ToString() => $"{Path} ({Type})";

    private static IEnumerable<ParquetColumn> Leaves(string path, IArrowType type) => type switch
    {
        StructType or MapType => ((NestedType)type).Fields.SelectMany(field => Leaves($"{path}.{field.Name}", field.DataType)),
        NestedType list => Leaves($"{path}[]", list.Fields[0].DataType),
        StringType or LargeStringType or StringViewType => [Text(path)],
        BinaryType or LargeBinaryType or BinaryViewType => [Bytes(path)],
        _ => [new(path, type.Name)],
    };
}
