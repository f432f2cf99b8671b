using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Tests.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Checkpoints;

[Trait("Category", "Parity")]
public sealed class CheckpointParityTests
{
    public static IEnumerable<TheoryDataRow<string?>> Models => ReferenceFolder.Folders("model", "config.json");

    /// <summary>The released configurations, beside the folder of reference results.</summary>
    public static IEnumerable<TheoryDataRow<string?>> Configurations => ReferenceFolder.Folders("../reference", "config.json");

    [Theory, MemberData(nameof(Models))]
    public void A_checkpoint_is_saved_as_it_was_loaded_in_one_file_and_in_shards(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var source = CheckpointFolder.Open(ReferenceFolder.PathOf("model", name!));
        var loaded = source.Names.Select(n => Widened(source, n, source.Type(n))).ToList();
        var whole = loaded.Sum(tensor => tensor.SizeBytes);

        HfExport.Save(source, folder["one"], loaded);
        HfExport.Save(source, folder["shards"], loaded, whole / 7);

        foreach (var (target, isSingle) in new[] { ("one", true), ("shards", false) })
        {
            using var saved = CheckpointFolder.Open(folder[target]);
            Assert.Equal(isSingle, Directory.EnumerateFiles(folder[target], "*.safetensors").Count() == 1);
            CheckpointFolderTests.AssertSameBytes(source, saved);
            AssertOtherFilesAreCopied(source.Folder, saved.Folder);
        }
    }

    /// <summary>float32 holds every bfloat16 and every float16, so the way there and back loses nothing.</summary>
    [Theory, MemberData(nameof(Models))]
    public void A_checkpoint_converted_to_float32_and_back_is_the_same(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var source = CheckpointFolder.Open(ReferenceFolder.PathOf("model", name!));
        foreach (var type in new[] { ScalarType.BFloat16, ScalarType.Float16 })
        {
            using var step = NewDisposeScope();
            string At(string stage) => folder[$"{type}-{stage}"];
            HfExport.Save(source, At("first"), All(source, type));
            using var first = CheckpointFolder.Open(At("first"));
            HfExport.Save(first, At("wide"), All(first, ScalarType.Float32));
            using var wide = CheckpointFolder.Open(At("wide"));
            HfExport.Save(wide, At("back"), All(wide, type));
            using var back = CheckpointFolder.Open(At("back"));

            Assert.All(wide.Names, n => Assert.Equal(ScalarType.Float32, wide.Type(n)));
            CheckpointFolderTests.AssertSameBytes(first, back);
            if (source.Names.All(n => source.Type(n) == type)) CheckpointFolderTests.AssertSameBytes(source, back);
        }
    }

    [Theory, MemberData(nameof(Models))]
    public void A_checkpoint_holds_what_its_configuration_asks_for(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        using var source = CheckpointFolder.Open(ReferenceFolder.PathOf("model", name!));
        var config = Phi3VConfig.Read(source.Folder);
        source.Check(Phi3VWeights.List(config), weight => Phi3VWeights.IsUnused(weight, config));
    }

    [Theory, MemberData(nameof(Configurations))]
    public void A_released_configuration_is_accepted(string? name)
    {
        const long million = 1_000_000;
        ReferenceFolder.SkipIfAbsent(name);

        var config = Phi3VConfig.Read(ReferenceFolder.PathOf("..", "reference", name!));

        Assert.Equal(4146, Phi3VWeights.List(config).Sum(info => info.ElementCount) / million);
    }

    private static List<StoredTensor> All(CheckpointFolder source, ScalarType type) =>
        [.. source.Names.Select(name => Widened(source, name, type))];

    /// <summary>Stored as <paramref name="type"/> from float32.</summary>
    private static StoredTensor Widened(CheckpointFolder source, string name, ScalarType type) => new(source.Info(name), type, () =>
    {
        var tensor = empty(source.Info(name).Shape, ScalarType.Float32);
        source.CopyTo(name, tensor);
        return tensor;
    });

    private static void AssertOtherFilesAreCopied(string source, string target)
    {
        foreach (var path in Directory.EnumerateFiles(source).Where(path => !path.Contains(".safetensors", StringComparison.Ordinal)))
            Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(Path.Combine(target, Path.GetFileName(path))));
    }
}
