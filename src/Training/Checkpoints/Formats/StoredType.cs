using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>An element type that safetensors files hold.</summary>
internal sealed record StoredType(string Name, ScalarType Type, int ElementBytes)
{
    private static readonly StoredType[] All =
    [
        new("F64", ScalarType.Float64, 8),
        new("F32", ScalarType.Float32, 4),
        new("F16", ScalarType.Float16, 2),
        new("BF16", ScalarType.BFloat16, 2),
        new("I64", ScalarType.Int64, 8),
        new("I32", ScalarType.Int32, 4),
        new("I16", ScalarType.Int16, 2),
        new("I8", ScalarType.Int8, 1),
        new("U8", ScalarType.Byte, 1),
        new("BOOL", ScalarType.Bool, 1),
    ];

    public static StoredType? Find(string name) => Array.Find(All, type => type.Name == name);

    public static StoredType Of(ScalarType type) =>
        Array.Find(All, stored => stored.Type == type) ?? throw new ArgumentException($"safetensors files hold no {type}", nameof(type));
}
