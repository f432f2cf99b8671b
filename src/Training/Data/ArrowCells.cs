using Apache.Arrow;

namespace Phi3VCluster.Training.Data;

/// <summary>Single cells of Arrow arrays, null-safe, whether offsets are 32 or 64 bits wide.</summary>
internal static class ArrowCells
{
    /// <summary>A struct's field by name; null where it was not read.</summary>
    public static IArrowArray? Field(this IArrowArray column, string name) => column is StructArray rows
        && rows.Data.DataType is Apache.Arrow.Types.StructType type && type.GetFieldIndex(name) is >= 0 and var at ? rows.Fields[at] : null;

    public static string? Text(this IArrowArray? column, int row) => column switch
    {
        null => null,
        StringArray texts => texts.GetString(row),
        LargeStringArray texts => texts.GetString(row),
        StringViewArray texts => texts.GetString(row),
        NullArray => null,
        _ => throw Unexpected(column, "text"),
    };

    /// <summary>Empty where the cell is null.</summary>
    public static ReadOnlySpan<byte> Bytes(this IArrowArray? column, int row)
    {
        switch (column)
        {
            case null or NullArray: return [];
            case BinaryArray bytes: return bytes.IsNull(row) ? [] : bytes.GetBytes(row);
            case LargeBinaryArray bytes: return bytes.IsNull(row) ? [] : bytes.GetBytes(row);
            case BinaryViewArray bytes: return bytes.IsNull(row) ? [] : bytes.GetBytes(row);
            default: throw Unexpected(column, "bytes");
        }
    }

    /// <summary>The items of a list cell as an array of their own; null where the cell is null.</summary>
    public static IArrowArray? Items(this IArrowArray column, int row) => column switch
    {
        ListArray lists => lists.IsNull(row) ? null : lists.GetSlicedValues(row),
        LargeListArray lists => lists.IsNull(row) ? null : lists.GetSlicedValues(row),
        NullArray => null,
        _ => throw Unexpected(column, "a list"),
    };

    private static InvalidDataException Unexpected(IArrowArray column, string wanted) =>
        new($"a column holds {column.Data.DataType.Name} where {wanted} is expected");
}
