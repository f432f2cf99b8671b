using System.Buffers.Binary;
using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Checkpoints;

public sealed class SafeTensorsTests
{
    [Fact]
    public void What_is_written_is_read_back()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var wide = arange(12, ScalarType.Float32).view(3, 4);
        (string, Tensor)[] tensors =
        [
            ("bytes", arange(5, ScalarType.Byte)), ("transposed", wide.t()), ("half", wide.to(ScalarType.BFloat16)), ("empty", zeros(0, 3)),
            ("scalar", tensor(7L)), ("flags", tensor(new[] { true, false })),
        ];

        SafeTensorsWriter.Write(folder["x.safetensors"], tensors, new Dictionary<string, string> { ["step"] = "4" });

        using var file = SafeTensorsFile.Open(folder["x.safetensors"]);
        Assert.Equal("4", file.Metadata["step"]);
        Assert.Equal(tensors.Select(t => t.Item1).Order(), file.Names.Order());
        foreach (var (name, tensor) in tensors)
        {
            using var view = file.View(name);
            Assert.Equal((tensor.dtype, string.Join(",", tensor.shape)), (view.dtype, string.Join(",", view.shape)));
            Assert.True(tensor.numel() == 0 || tensor.eq(view).all().item<bool>(), name);
        }
        Assert.Equal(["x.safetensors"], Directory.EnumerateFiles(folder.Path).Select(Path.GetFileName)); // nothing temporary is left
    }

    [Fact]
    public void Values_are_made_in_their_turn_and_freed_before_the_next()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var made = new List<Tensor>();
        StoredTensor Lazy(string name, ScalarType type) => new(new(name, [4]), type, () =>
        {
            Assert.All(made, tensor => Assert.True(tensor.IsInvalid));
            made.Add(full([4], 1.5f));
            return made[^1];
        });

        SafeTensorsWriter.Write(folder["x"], [Lazy("a", ScalarType.Float32), Lazy("b", ScalarType.BFloat16), Lazy("c", ScalarType.Int64)]);

        using var file = SafeTensorsFile.Open(folder["x"]);
        Assert.Equal(3, made.Count);
        Assert.Equal([ScalarType.Float32, ScalarType.BFloat16, ScalarType.Int64], ((string[])["a", "b", "c"]).Select(file.Type));
        Assert.Equal(1.5f, file.View("b")[3].to_type(ScalarType.Float32).item<float>());
        Assert.Throws<ArgumentException>(() =>
            SafeTensorsWriter.Write(folder["y"], [new StoredTensor(new("a", [3]), ScalarType.Float32, () => zeros(4))]));
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        SafeTensorsWriter.Write(folder["x"], [("a", zeros(2))]);
        var before = File.ReadAllBytes(folder["x"]);

        var notStorable = zeros(2, dtype: ScalarType.ComplexFloat32);
        Assert.Throws<ArgumentException>(() => SafeTensorsWriter.Write(folder["x"], [("a", ones(2)), ("b", notStorable)]));

        Assert.Equal(before, File.ReadAllBytes(folder["x"]));
        Assert.Single(Directory.EnumerateFiles(folder.Path));
    }

    public static TheoryData<string, string> UnsoundHeaders => new()
    {
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", "overlaps" },
        { """{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}""", "not within the file's 12 bytes" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "last 4 bytes belong to no tensor" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", "4 bytes before it belong to no tensor" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}}""", "does not fit its 12 bytes" },
        { """{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,12]}}""", "does not fit" },
        { """{"a":{"dtype":"F32","shape":[3],"data_offsets":[12,0]}}""", "not within" },
        { """{"a":{"dtype":"F32","shape":[-3],"data_offsets":[0,12]}}""", "whole numbers" },
        { """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12,12]}}""", "whole numbers" },
        { """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,1e99]}}""", "whole numbers" },
        { """{"a":{"dtype":"Q4","shape":[3],"data_offsets":[0,12]}}""", "dtype Q4 is not supported" },
        { """{"a":{"shape":[3],"data_offsets":[0,12]}}""", "needs a dtype" },
        { """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""", "twice" },
        { """{"__metadata__":{"x":1},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""", "__metadata__" },
        { """[1]""", "not a JSON object" },
        { """{"a":""", "not JSON" },
    };

    [Theory, MemberData(nameof(UnsoundHeaders))]
    public void An_unsound_header_is_refused_with_its_reason(string header, string reason)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x"], [.. Length((ulong)header.Length), .. Encoding.UTF8.GetBytes(header), .. new byte[12]]);

        var error = Assert.Throws<InputException>(() => SafeTensorsFile.Open(folder["x"]));

        Assert.StartsWith(folder["x"], error.Message);
        Assert.Contains(reason, error.Message);
    }

    [Theory]
    [InlineData(0UL, 3)]
    [InlineData(99UL, 8)]
    [InlineData(ulong.MaxValue, 20)]
    [InlineData(1UL << 40, 20)]
    public void A_file_cut_short_is_refused(ulong headerLength, int fileLength)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x"], [.. Length(headerLength).Concat(new byte[20]).Take(fileLength)]);
        Assert.Throws<InputException>(() => SafeTensorsFile.Open(folder["x"]));
    }

    [Fact]
    public void All_problems_of_a_header_are_reported_at_once()
    {
        using var folder = new TemporaryFolder();
        var header = """{"a":{"dtype":"Q4","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[3],"data_offsets":[0,99]}}""";
        File.WriteAllBytes(folder["x"], [.. Length((ulong)header.Length), .. Encoding.UTF8.GetBytes(header), .. new byte[12]]);
        Assert.Equal(2, Assert.Throws<InputException>(() => SafeTensorsFile.Open(folder["x"])).Problems.Count);
    }

    private static byte[] Length(ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return bytes;
    }
}
