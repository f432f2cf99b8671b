using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

internal enum AtenKind { None, Bits, Tensor, OptionalTensor, OptionalBits, Tensors, Integers }

/// <summary>
/// One argument of an operator. Plain values convert by themselves; an argument whose schema type ends in '?' must be given as
/// <see cref="Optional(Tensor?)"/>, or <see cref="None"/>.
/// </summary>
public readonly struct AtenValue
{
    private AtenValue(AtenKind kind, ulong bits = 0, object? reference = null) => (Kind, Bits, Reference) = (kind, bits, reference);

    internal AtenKind Kind { get; }
    internal ulong Bits { get; }
    internal object? Reference { get; }

    public static AtenValue None => default;

    public static implicit operator AtenValue(Tensor tensor) => new(AtenKind.Tensor, reference: tensor);
    public static implicit operator AtenValue(Tensor[] tensors) => new(AtenKind.Tensors, reference: tensors);
    public static implicit operator AtenValue(long[] numbers) => new(AtenKind.Integers, reference: numbers);
    public static implicit operator AtenValue(long number) => new(AtenKind.Bits, (ulong)number);
    public static implicit operator AtenValue(bool flag) => new(AtenKind.Bits, flag ? 1UL : 0);
    public static implicit operator AtenValue(double number) => new(AtenKind.Bits, BitConverter.DoubleToUInt64Bits(number));
    public static implicit operator AtenValue(ScalarType type) => new(AtenKind.Bits, (ulong)(long)type);

    public static AtenValue Optional(Tensor? tensor) => tensor is null ? None : new(AtenKind.OptionalTensor, reference: tensor);
    public static AtenValue Optional(ScalarType type) => new(AtenKind.OptionalBits, (ulong)(long)type);
    public static AtenValue Optional(double number) => new(AtenKind.OptionalBits, BitConverter.DoubleToUInt64Bits(number));

    public override string ToString() => Kind switch
    {
        AtenKind.None => "none",
        AtenKind.Tensor or AtenKind.OptionalTensor => Describe((Tensor)Reference!),
        AtenKind.Tensors => $"[{string.Join(", ", ((Tensor[])Reference!).Select(Describe))}]",
        AtenKind.Integers => $"[{string.Join(", ", (long[])Reference!)}]",
        _ => $"0x{Bits:x}",
    };

    private static string Describe(Tensor tensor) => $"{tensor.dtype}[{string.Join("×", tensor.shape)}]";
}
